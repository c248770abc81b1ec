"""The block that the parent of this process has named: there an executed child counts, see children.py.

Every app that has instruments imports this, and most have no such parent: so it imports little.
"""

from hvd.core.own.store import own_store
from hvd.settings.environ import environment

VARIABLE = "_HVD_BLOCK"
"""Names the block in which the parent counts."""


def join() -> bool:
    """Take a slot of that block, if there is one. -> whether that may go better later."""
    name = environment().get(VARIABLE)
    if not name:
        return False
    from hvd.metrics.children import join_executed

    return join_executed(name)


own_store.first = join
