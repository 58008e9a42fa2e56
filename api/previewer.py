"""A process that previews plans for a service, one after the other: a large one takes seconds, and holds nobody up.

It hears a line of JSON for each, `plan` (as text, which may be anything), `rig` and `runs`, and answers with one: what
was `found`, or why the plan is `refused`. It ends when its stdin does.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from acquisition.plan import PlanError
from api.any_plan import AnyPlan, plan_for
from api.foreseen_plan import preview
from devices.model import FileError, reasons
from devices.rig import RigSettings

GIVES_WAY = 10  # nice; the engine has its time first
_ASKED: TypeAdapter[Any] = TypeAdapter(AnyPlan)


def main() -> None:
    """Answer until nobody asks any more."""
    os.nice(GIVES_WAY)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def _answer(asked: dict[str, str]) -> dict[str, Any]:
    try:
        settings = RigSettings.load(Path(asked["rig"]))
        plan = plan_for(_ASKED.validate_python(json.loads(asked["plan"])), settings)
        return {"found": preview(plan, settings, Path(asked["runs"]))}
    except ValidationError as error:
        return {"refused": reasons(error)}
    except PlanError as error:
        return {"refused": error.reasons}
    except json.JSONDecodeError as error:
        return {"refused": [f"body: not JSON: {error.msg} (character {error.pos})"]}
    except RecursionError:
        return {"refused": ["body: not JSON that anybody can read: nested too deeply"]}
    except (FileError, OSError) as error:
        return {"failed": str(error)}
    except ValueError as error:  # a number of 5000 digits
        return {"refused": [f"body: not JSON: {error}"]}


if __name__ == "__main__":
    main()
