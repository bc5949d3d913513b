"""dbos 3.4.0 on SQLite: a repeat with another request gets the first one's answer.

pip install dbos==3.4.0
"""
import tempfile

from dbos import DBOS, SetWorkflowID

DBOS(config={
    "name": "shop",
    "system_database_url": f"sqlite:///{tempfile.mkdtemp()}/shop.sqlite",
    "run_admin_server": False,
    "log_level": "ERROR",
})

@DBOS.workflow()
def charge(cents: int) -> str:
    return f"charged {cents} cents"

DBOS.launch()
for cents in (500, 900):
    with SetWorkflowID("order-1"):
        print(cents, "asked,", charge(cents))
DBOS.destroy()
