"""Prefect's API in the memory of this process, for runs whose record ends with them.

Prefect's own server takes 1.2 s of CPU to import, start and ask, two thirds of a small plate's run, and a database.
This application answers what Prefect's client asks while flows run in this process and its children, with the models
that the client reads. It refuses no state. Whatever else is asked gets 404.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

from prefect.client.schemas.objects import Flow, FlowRun, State
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus, StateAcceptDetails
from prefect.states import Pending
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

_CREATED = 201
_NO_CONTENT = 204
_NOT_FOUND = 404


def memory_api() -> Starlette:
    """Return the application. One event loop runs it, so that no two requests are handled at once."""
    return Starlette(routes=[Mount("/api", routes=_Records().routes())])


class _Records:
    """The flows and flow runs of this process and its children."""

    def __init__(self) -> None:
        self._flows: dict[str, Flow] = {}
        self._runs: dict[UUID, FlowRun] = {}

    def routes(self) -> list[Route]:
        """Return what can be asked."""
        return [
            _route("GET", "/health", _healthy),
            _route("GET", "/admin/storage", _no_storage),
            _route("POST", "/flows/", self._create_flow),
            _route("GET", "/flows/{id:uuid}", self._read_flow),
            _route("POST", "/flow_runs/", self._create_run),
            _route("GET", "/flow_runs/{id:uuid}", self._read_run),
            _route("PATCH", "/flow_runs/{id:uuid}", self._rename_run),
            _route("POST", "/flow_runs/{id:uuid}/set_state", self._set_state),
        ]

    async def _create_flow(self, request: Request) -> Response:
        flow = Flow.model_validate(await request.json())
        return _answer(self._flows.setdefault(flow.name, flow), _CREATED)

    async def _read_flow(self, request: Request) -> Response:
        found = [flow for flow in self._flows.values() if flow.id == request.path_params["id"]]
        if not found:
            raise HTTPException(_NOT_FOUND)
        return _answer(found[0])

    async def _create_run(self, request: Request) -> Response:
        run = FlowRun.model_validate(await _given(request))
        return _answer(self._put(run, run.state or Pending()), _CREATED)

    async def _read_run(self, request: Request) -> Response:
        return _answer(self._run(request))

    async def _rename_run(self, request: Request) -> Response:
        """Set what a flow run learns as it starts, which is its name."""
        run = self._run(request)
        self._runs[run.id] = run.model_copy(update={"name": (await _given(request)).get("name", run.name)})
        return Response(status_code=_NO_CONTENT)

    async def _set_state(self, request: Request) -> Response:
        run = self._run(request)
        state: State[object] = State.model_validate((await request.json())["state"])
        self._put(run, state)
        result: OrchestrationResult[object] = OrchestrationResult(
            state=state, status=SetStateStatus.ACCEPT, details=StateAcceptDetails()
        )
        return _answer(result, _CREATED)

    def _put(self, run: FlowRun, state: State[object]) -> FlowRun:
        """Keep a flow run in a state, and return it as it is kept."""
        state.state_details.flow_run_id = run.id
        update = {"state": state, "state_id": state.id, "state_type": state.type, "state_name": state.name}
        self._runs[run.id] = run.model_copy(update=update)
        return self._runs[run.id]

    def _run(self, request: Request) -> FlowRun:
        """Return the flow run of the path's id. Raises HTTPException with 404 for an unknown id."""
        found = self._runs.get(request.path_params["id"])
        if found is None:
            raise HTTPException(_NOT_FOUND)
        return found


async def _healthy(_request: Request) -> Response:
    return JSONResponse(content=True)


async def _no_storage(_request: Request) -> Response:
    """Return that no block stores results. Those of these flows are not stored."""
    return JSONResponse({"default_result_storage_block_id": None})


def _route(method: str, path: str, handle: Callable[[Request], Awaitable[Response]]) -> Route:
    return Route(path, handle, methods=[method])


async def _given(request: Request) -> dict[str, object]:
    """Return the fields of the body that have a value; the models know the values of the others."""
    return {name: value for name, value in (await request.json()).items() if value is not None}


def _answer(model: BaseModel, status: int = 200) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")
