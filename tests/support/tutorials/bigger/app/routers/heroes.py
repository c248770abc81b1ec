"""Below /heroes."""

from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from ..database import Hero, SessionDep

router = APIRouter(prefix="/heroes")


class NewHero(BaseModel):
    name: str


@router.post("/", status_code=201)
def create_hero(hero: NewHero, session: SessionDep) -> dict[str, Any]:
    row = Hero(name=hero.name)
    session.add(row)
    session.commit()
    return {"id": row.id, "name": row.name}


@router.get("/{hero_id}")
def read_hero(hero_id: int, session: SessionDep) -> dict[str, Any]:
    row = session.get(Hero, hero_id)
    if row is None:
        raise HTTPException(status_code=404, detail="Hero not found")
    return {"id": row.id, "name": row.name}


@router.delete("/{hero_id}", status_code=204)
def delete_hero(hero_id: int, session: SessionDep) -> None:
    session.delete(session.get_one(Hero, hero_id))
    session.commit()
