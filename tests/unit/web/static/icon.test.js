/** The tab's icon tells the states apart by form, not by colour alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { iconOf } from "./icon.js";
import { MARKS } from "./verdict.js";

test("each state has a form and a colour of its own", () => {
  const icons = Object.keys(MARKS).map((state) => decodeURIComponent(iconOf(state)));
  const colours = icons.map((icon) => icon.match(/#(?!fff)[0-9a-f]{6}/g)[0]);
  assert.equal(new Set(colours).size, 6);
  assert.equal(new Set(icons.map((icon) => icon.replace(/#[0-9a-f]{3,6}/g, ""))).size, 6);
  for (const icon of icons) assert.ok(icon.startsWith("data:image/svg+xml,<svg") && !icon.includes("undefined"));
});
