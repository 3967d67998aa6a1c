"""A small Jumpstarter controller and router over the published gRPC stubs, with TLS.

It keeps exporters, clients and leases in memory, gives the first free exporter whose labels match to the
last request, ends leases at their time, and joins the two ends of a router's stream. The real controller
has no order among waiting requests: each looks once a second for a free exporter. The last first is the
worst order. What Kubernetes adds to the real one (access policies, tokens with an issuer, many replicas) is
not here.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import grpc
from google.protobuf import empty_pb2
from jumpstarter_protocol import (
    client_pb2,
    client_pb2_grpc,
    jumpstarter_pb2,
    jumpstarter_pb2_grpc,
    kubernetes_pb2,
    router_pb2_grpc,
)
from jumpstarter_protocol.jumpstarter.v1 import common_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from types import TracebackType

    from tests.jumpstarter.certificates import Certificate

__all__ = ["Controller"]

NAMESPACE = "default"
PINGS = [("grpc.http2.min_ping_interval_without_data_ms", 5000), ("grpc.keepalive_permit_without_calls", 1)]
"""Jumpstarter's exporters and clients ping every 20 s, also while nothing is asked."""


@dataclass
class ExporterState:
    """An exporter as the controller knows it."""

    name: str
    labels: dict[str, str]
    token: str
    status: int = common_pb2.EXPORTER_STATUS_OFFLINE
    online: bool = False
    lease: LeaseState | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def free(self) -> bool:
        """Whether it can be leased."""
        return self.online and self.lease is None and self.status == common_pb2.EXPORTER_STATUS_AVAILABLE


@dataclass
class LeaseState:
    """A lease, from its request to its end."""

    name: str
    client: str
    selector: str
    duration: timedelta
    wanted: str = ""
    begins: datetime | None = None
    exporter: ExporterState | None = None
    begun: datetime | None = None
    ended: datetime | None = None
    unsatisfiable: bool = False
    dials: asyncio.Queue[jumpstarter_pb2.ListenResponse] = field(default_factory=asyncio.Queue)

    @property
    def is_scheduled(self) -> bool:
        """Whether it is to begin later."""
        return self.begins is not None and self.begins > datetime.now(UTC)

    @property
    def waits(self) -> bool:
        """Whether it waits for an exporter."""
        return not (self.exporter or self.ended or self.is_scheduled)

    @property
    def ends(self) -> datetime | None:
        """When its time is over."""
        return self.begun + self.duration if self.begun else None


class Controller:
    """The controller, in a thread of its own; a `with` block ends it.

    Args:
        certificate: Its certificate.
        clients: Token of each client.
        exporters: Token and labels of each exporter.
    """

    def __init__(
        self,
        certificate: Certificate,
        clients: dict[str, str],
        exporters: dict[str, tuple[str, dict[str, str]]],
    ) -> None:
        self.clients = clients
        self.exporters = {n: ExporterState(n, labels, token) for n, (token, labels) in exporters.items()}
        self.leases: dict[str, LeaseState] = {}
        self.clock_ahead = timedelta(0)  # of the clocks of its clients, as it tells them times
        self.streams: dict[str, tuple[Any, asyncio.Future[None]]] = {}
        self._certificate = certificate
        self._port: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.endpoint = f"127.0.0.1:{self._port.result(30)}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)

    def do(self, act: Callable[[], Any]) -> Any:
        """Do something in the controller's thread, and return what came of it."""

        async def run() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    def active(self) -> list[str]:
        """Names of the leases that hold an exporter."""
        return [name for name, lease in self.leases.items() if lease.exporter and not lease.ended]

    def pending(self) -> list[str]:
        """Names of the leases that wait for one."""
        return [name for name, lease in self.leases.items() if lease.waits]

    def scheduled(self) -> list[str]:
        """Names of the leases that are to begin later."""
        return [name for name, lease in self.leases.items() if lease.is_scheduled and not lease.ended]

    def expire(self, name: str) -> None:
        """End a lease as if its time were over."""
        self.do(lambda: self.end(self.leases[name]))

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = grpc.aio.server(options=PINGS)
        jumpstarter_pb2_grpc.add_ControllerServiceServicer_to_server(ForExporters(self), server)
        client_pb2_grpc.add_ClientServiceServicer_to_server(ForClients(self), server)
        router_pb2_grpc.add_RouterServiceServicer_to_server(Router(self), server)
        pair = (self._certificate.key.read_bytes(), self._certificate.certificate.read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        await server.start()
        clock = asyncio.create_task(self._keep_time())
        self._port.set_result(port)
        await self._over.wait()
        clock.cancel()
        await server.stop(grace=0.2)

    async def _keep_time(self) -> None:
        while True:
            for lease in list(self.leases.values()):
                if not lease.ended and lease.ends and lease.ends <= datetime.now(UTC):
                    self.end(lease)
                elif lease.begins and lease.waits:
                    self.assign()
            await asyncio.sleep(0.05)

    def assign(self) -> None:
        """Give free exporters to the requests that wait, the last first; end those that none can fulfil."""
        for lease in reversed(list(self.leases.values())):
            if lease.waits:
                if not self.matching(lease.selector, lease.wanted):
                    lease.unsatisfiable, lease.ended = True, datetime.now(UTC)
                    continue
                free = next((one for one in self.matching(lease.selector, lease.wanted) if one.free), None)
                if free is not None:
                    lease.exporter, lease.begun, free.lease = free, datetime.now(UTC), lease
                    free.changed.set()

    def matching(self, selector: str, name: str = "") -> list[ExporterState]:
        """Exporters with these labels and, if a name is given, with that name."""
        wanted = dict(pair.split("=", 1) for pair in selector.split(",") if "=" in pair)
        found = [one for one in self.exporters.values() if wanted.items() <= one.labels.items()]
        return [one for one in found if name in {"", one.name}]

    def end(self, lease: LeaseState) -> None:
        """End a lease."""
        lease.ended = lease.ended or datetime.now(UTC)
        if lease.exporter is not None and lease.exporter.lease is lease:
            lease.exporter.lease = None
            lease.exporter.changed.set()
        self.assign()


def _begin_of(request: Any) -> datetime | None:
    """When the lease of a request is to begin; None: as soon as possible."""
    return request.lease.begin_time.ToDatetime(tzinfo=UTC) if request.lease.HasField("begin_time") else None


async def _who(context: Any, tokens: dict[str, str]) -> str:
    """The name of the caller; it ends the call where the token is not the name's."""
    facts = dict(context.invocation_metadata())
    name = facts.get("jumpstarter-name", "")
    if tokens.get(name) is None or facts.get("authorization") != f"Bearer {tokens[name]}":
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "unknown name or wrong token")
    return name


class ForClients(client_pb2_grpc.ClientServiceServicer):
    """What clients ask."""

    def __init__(self, controller: Controller) -> None:
        self._all = controller

    async def GetExporter(self, request: Any, context: Any) -> Any:
        await _who(context, self._all.clients)
        return self._told_exporter(self._all.exporters[request.name.rpartition("/")[2]])

    def _told_exporter(self, exporter: ExporterState) -> Any:
        return client_pb2.Exporter(
            name=f"namespaces/{NAMESPACE}/exporters/{exporter.name}",
            labels=exporter.labels,
            online=exporter.online,
            status=exporter.status if exporter.online else common_pb2.EXPORTER_STATUS_OFFLINE,
        )

    async def ListExporters(self, request: Any, context: Any) -> Any:
        await _who(context, self._all.clients)
        found = self._all.matching(request.filter)
        return client_pb2.ListExportersResponse(exporters=map(self._told_exporter, found))

    async def CreateLease(self, request: Any, context: Any) -> Any:
        client = await _who(context, self._all.clients)
        duration = request.lease.duration.ToTimedelta()
        name = request.lease_id or str(uuid.uuid4())
        lease = self._all.leases[name] = LeaseState(
            name, client, request.lease.selector, duration, request.lease.exporter_name, _begin_of(request)
        )
        self._all.assign()
        return self._told(lease)

    async def GetLease(self, request: Any, context: Any) -> Any:
        await _who(context, self._all.clients)
        return self._told(await self._lease(request.name, context))

    async def ListLeases(self, request: Any, context: Any) -> Any:
        await _who(context, self._all.clients)
        shown = [one for one in self._all.leases.values() if not (request.only_active and one.ended)]
        return client_pb2.ListLeasesResponse(leases=map(self._told, shown))

    async def UpdateLease(self, request: Any, context: Any) -> Any:
        lease = await self._own(request.lease.name, context)
        if lease.ended:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the lease has ended")
        if request.lease.HasField("duration"):
            lease.duration = request.lease.duration.ToTimedelta()
        lease.begins = _begin_of(request) or lease.begins
        return self._told(lease)

    async def DeleteLease(self, request: Any, context: Any) -> Any:
        self._all.end(await self._own(request.name, context))
        return empty_pb2.Empty()

    async def _own(self, name: str, context: Any) -> LeaseState:
        client = await _who(context, self._all.clients)
        lease = await self._lease(name, context)
        if lease.client != client:
            await context.abort(grpc.StatusCode.UNKNOWN, "permission denied")
        return lease

    async def _lease(self, name: str, context: Any) -> LeaseState:
        lease = self._all.leases.get(name.rpartition("/")[2])
        if lease is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no lease {name}")
        assert lease is not None
        return lease

    def _told(self, lease: LeaseState) -> Any:
        told = client_pb2.Lease(
            name=f"namespaces/{NAMESPACE}/leases/{lease.name}",
            selector=lease.selector,
            client=f"namespaces/{NAMESPACE}/clients/{lease.client}",
            exporter_name=lease.wanted,
            conditions=list(self._conditions(lease)),
        )
        told.duration.FromTimedelta(lease.duration)
        if lease.exporter is not None:
            told.exporter = f"namespaces/{NAMESPACE}/exporters/{lease.exporter.name}"
        for moment, name in ((lease.begun, "effective_begin_time"), (lease.ended, "effective_end_time")):
            if moment is not None:
                getattr(told, name).FromDatetime(moment + self._all.clock_ahead)
        return told

    def _conditions(self, lease: LeaseState) -> Any:
        def condition(kind: str, status: str, message: str) -> Any:
            return kubernetes_pb2.Condition(type=kind, status=status, reason=kind, message=message)

        if lease.unsatisfiable:
            yield condition("Unsatisfiable", "True", "there are no exporters with these labels")
        elif lease.ended:
            yield condition("Ready", "False", "the lease has ended")
        elif lease.exporter is not None:
            yield condition("Ready", "True", "an exporter has been acquired")
        elif lease.waits:
            yield condition("Pending", "True", "all matching exporters are leased or offline")


class ForExporters(jumpstarter_pb2_grpc.ControllerServiceServicer):
    """What exporters say, and clients who dial them."""

    def __init__(self, controller: Controller) -> None:
        self._all = controller

    async def _exporter(self, context: Any) -> ExporterState:
        tokens = {one.name: one.token for one in self._all.exporters.values()}
        return self._all.exporters[await _who(context, tokens)]

    async def Register(self, request: Any, context: Any) -> Any:  # noqa: ARG002 - gRPC's
        await self._exporter(context)
        return jumpstarter_pb2.RegisterResponse(uuid=str(uuid.uuid4()))

    async def Unregister(self, request: Any, context: Any) -> Any:  # noqa: ARG002 - gRPC's
        (await self._exporter(context)).status = common_pb2.EXPORTER_STATUS_OFFLINE
        return jumpstarter_pb2.UnregisterResponse()

    async def ReportStatus(self, request: Any, context: Any) -> Any:
        exporter = await self._exporter(context)
        exporter.status = request.status
        if request.release_lease and exporter.lease is not None:
            self._all.end(exporter.lease)
        self._all.assign()
        return jumpstarter_pb2.ReportStatusResponse()

    async def ReleaseLease(self, request: Any, context: Any) -> Any:
        exporter = await self._exporter(context)
        lease = self._all.leases.get(request.name)
        if lease is not None and lease.exporter is exporter:
            self._all.end(lease)
        return jumpstarter_pb2.ReleaseLeaseResponse()

    async def Status(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ARG002 - gRPC's
        exporter = await self._exporter(context)
        exporter.online = True
        self._all.assign()
        try:
            while True:
                exporter.changed.clear()
                lease = exporter.lease
                yield jumpstarter_pb2.StatusResponse(
                    leased=lease is not None,
                    lease_name=lease.name if lease else None,
                    client_name=lease.client if lease else None,
                )
                await exporter.changed.wait()
        finally:
            exporter.online = False

    async def Listen(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._exporter(context)
        while True:
            yield await self._all.leases[request.lease_name].dials.get()

    async def Dial(self, request: Any, context: Any) -> Any:
        client = await _who(context, self._all.clients)
        lease = self._all.leases.get(request.lease_name)
        if lease is None or lease.client != client or lease.exporter is None or lease.ended:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no such active lease")
        assert lease is not None
        way = {"router_endpoint": self._all.endpoint, "router_token": str(uuid.uuid4())}
        lease.dials.put_nowait(jumpstarter_pb2.ListenResponse(**way))
        return jumpstarter_pb2.DialResponse(**way)


class Router(router_pb2_grpc.RouterServiceServicer):
    """Joins the two callers that bring the same token."""

    def __init__(self, controller: Controller) -> None:
        self._streams = controller.streams

    async def Stream(self, _requests: Any, context: Any) -> None:
        token = dict(context.invocation_metadata())["authorization"]
        other = self._streams.pop(token, None)
        if other is None:
            over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._streams[token] = (context, over)
            await over
            return
        first, over = other
        ways = [
            asyncio.ensure_future(_forward(first, context)),
            asyncio.ensure_future(_forward(context, first)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            if not over.done():
                over.set_result(None)


def _forward(source: Any, target: Any) -> Coroutine[Any, Any, None]:
    async def forward() -> None:
        from jumpstarter_protocol import router_pb2  # noqa: PLC0415 - beside its only use

        while (frame := await source.read()) != grpc.aio.EOF:
            await target.write(router_pb2.StreamResponse(payload=frame.payload, frame_type=frame.frame_type))

    return forward()
