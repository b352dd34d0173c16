"""Patches of Locust and its HTTP client, each with the version that needs it."""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import logging
import select
import signal
import socket
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.event
from gevent import monkey
from geventhttpclient.connectionpool import ConnectionPool
from locust import User, argument_parser, runners
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner
from locust.stats import RequestStats
from locust.user.task import LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from swarmscope.server_timing import MAX_RESPONSE_MS, usable_ms

logger = logging.getLogger(__name__)

_poll = monkey.get_original("select", "poll")

YOUNG_OBJECTS = 20_000  # net new objects before the collector runs; Python's own is 700
REPORTS_OF_UNKNOWN = 3  # in a row: between two runs a worker is unknown for a moment


def attach(environment: Environment) -> None:
    """Patch this Locust process; harmless if repeated."""
    count_from_now()
    count_every_request()
    name_no_caller()
    keep_connections()
    finish_requests()
    remember_default_arguments()
    collect_garbage_rarely(environment)
    if isinstance(environment.runner, MasterRunner):
        restart_unknown_workers(environment)


def remember_default_arguments() -> None:
    """Make Locust work out its default arguments once per process.

    A worker of Locust 2.47 rebuilds the whole command-line parser for each option of each spawn
    message (``WorkerRunner.handle_message``), once per second while a swarm ramps up. With some 90
    options that blocks its event loop for one to five seconds each time: latencies of a ramp are
    wrong, and on a slow machine the master takes the worker for missing and stops the swarm.
    """
    if hasattr(argument_parser.default_args_dict, "__wrapped__"):
        return
    remembered = functools.cache(argument_parser.default_args_dict)

    @functools.wraps(argument_parser.default_args_dict)
    def default_args_dict() -> dict[str, object]:
        return dict(remembered())

    argument_parser.default_args_dict = default_args_dict


def count_from_now() -> None:
    """Make timers that start now count from now.

    gevent's clock stands still while no greenlet yields, as during Locust's imports. Locust 2.47
    sets ``--run-time`` right after those, so the swarm was shorter by the time they took.
    """
    gevent.get_hub().loop.update_now()


def count_every_request() -> None:
    """Make Locust count each request once, with its failure, whatever its time is.

    ``RequestStats.log_request`` of Locust 2.47 counts first and adds up afterwards: a time or a
    length that is no number raises in between. The total then has a request that no endpoint has,
    a failure is counted nowhere, and NaN makes every mean NaN.
    """
    stock_request, stock_error = RequestStats.log_request, RequestStats.log_error
    if hasattr(stock_request, "__wrapped__"):
        return

    @functools.wraps(stock_request)
    def log_request(self: Any, method: Any, name: Any, ms: Any, length: Any) -> None:
        if type(ms) is not float or not 0 <= ms < MAX_RESPONSE_MS:
            ms = usable_ms(ms)
        if type(length) is not int:
            length = length if isinstance(length, int | float) and length == length else 0
        if _is_hashable(name, method):
            stock_request(self, method, name, ms, length)
        else:
            stock_request(self, str(method), str(name), ms, length)

    @functools.wraps(stock_error)
    def log_error(self: Any, method: Any, name: Any, error: Any) -> None:
        if _is_hashable(name, method):
            stock_error(self, method, name, error)
        else:
            stock_error(self, str(method), str(name), error)

    mended: Any = RequestStats
    mended.log_request, mended.log_error = log_request, log_error


def _is_hashable(*values: object) -> bool:
    try:
        hash(values)
    except TypeError:
        return False
    return True


def name_no_caller() -> None:
    """Make a swarm stop at once.

    ``Runner.stop`` of Locust 2.47 reads the sources of all its callers for a line of its debug log.
    That blocks the event loop for a tenth of a second or more: no user continues, and requests in
    flight seem slow.
    """
    module: Any = runners
    if module.inspect is inspect:
        module.inspect = SimpleNamespace(
            stack=functools.partial(inspect.stack, 0),
            getframeinfo=functools.partial(inspect.getframeinfo, context=0),
        )


def keep_connections() -> None:
    """Keep the connections of a process with more than a thousand users open.

    geventhttpclient 2.6 checks with ``select`` whether an idle connection is alive, and ``select``
    takes no file number above 1,023. It fails for all others, they count as dead, and each request
    of every user beyond the first thousand opens a new connection.
    """
    pool: Any = ConnectionPool
    if not hasattr(pool._is_socket_alive, "__wrapped__"):
        pool._is_socket_alive = functools.wraps(pool._is_socket_alive)(_is_silent)


def _is_silent(_pool: ConnectionPool, sock: socket.socket | None) -> bool:
    """Return whether *sock* is open with nothing to read, as an idle connection must be."""
    if sock is None or sock.fileno() < 0:
        return False
    poll = _poll()  # never gevent's own, which would let other greenlets run in between
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)


def finish_requests() -> None:
    """Keep a stop from cutting off requests, however many users there are.

    ``User.stop`` of Locust 2.47 checks whether its user is waiting and has it killed, and gevent
    kills some time later. In a busy loop, as with thousands of users to stop, the user's wait ends
    in between, and its next request is killed: answered, but recorded nowhere.
    """
    stock = User.stop
    if hasattr(stock, "__wrapped__"):
        return

    @functools.wraps(stock)
    def stop(user: Any, force: bool = False) -> bool:
        if force or user._state == LOCUST_STATE_STOPPING:
            return bool(stock(user, force))
        return _stop_at_once(user)

    mended: Any = User
    mended.stop = stop


def _stop_at_once(user: Any) -> bool:
    """End *user* if it is waiting, else mark it to stop after its task; return whether it ended."""
    ended: gevent.event.AsyncResult[bool] = gevent.event.AsyncResult()

    def check() -> None:  # runs in the hub: nothing comes between the check and the throw
        waits = user._state in (None, LOCUST_STATE_WAITING)
        user._state = LOCUST_STATE_STOPPING
        ended.set(waits)
        if waits:
            user.greenlet.throw(gevent.GreenletExit)

    gevent.get_hub().loop.run_callback(check)
    return bool(ended.get())


def stop_in_order(environment: Environment) -> None:
    """Make SIGTERM stop a swarm that a shape drives without a UI, as it stops any other.

    Locust 2.47 handles that signal only after the shape's end; before, it kills the process.
    """

    def stop() -> None:
        logger.info("Got SIGTERM: stopping the swarm")
        if environment.runner:
            environment.runner.quit()

    handler: Any = gevent.signal_handler(signal.SIGTERM, stop)
    environment.events.test_stop.add_listener(lambda **_: handler.cancel())


def collect_garbage_rarely(environment: Environment) -> None:
    """Keep the garbage collector from stopping a process in the middle of a swarm.

    Each user is some hundred objects that live as long as the swarm, and Python's collector scans
    all of them again and again while a ramp adds more: with 5,000 users in a process that took up
    to a second at a time, during which no request is sent and no response is read. While users are
    added, it looks at each new object once; afterwards, at none of what the users consist of.
    """
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    users = 0

    def after_collection(phase: str, _: object) -> None:
        nonlocal users
        if phase == "stop" and environment.runner:
            before, users = users, environment.runner.user_count
            if users > before:
                gc.freeze()

    def begin(**_: object) -> None:
        nonlocal users
        users = 0
        if after_collection not in gc.callbacks:
            gc.callbacks.append(after_collection)

    def end(**_: object) -> None:
        gc.unfreeze()
        with contextlib.suppress(ValueError):  # it is not there
            gc.callbacks.remove(after_collection)

    environment.events.test_start.add_listener(begin)
    environment.events.spawning_complete.add_listener(_freeze)
    environment.events.test_stop.add_listener(end)


def _freeze(**_: object) -> None:
    gc.freeze()


def restart_unknown_workers(environment: Environment) -> None:
    """Tell workers that this master does not know to quit, so that they reconnect as known ones.

    When a master dies, its workers connect to the next one, which discards their reports. Locust
    2.47 leaves them so for a minute, in which they load the target uncounted and no swarm can be
    started. Told to quit, they end as at any stop, and their supervisor restarts them.
    """
    runner = environment.runner
    assert isinstance(runner, MasterRunner)
    unknown: dict[str, int] = {}

    def on_worker_report(client_id: str, data: dict[str, Any], **_: object) -> None:
        unknown[client_id] = 0 if client_id in runner.clients else unknown.get(client_id, 0) + 1
        if unknown[client_id] == REPORTS_OF_UNKNOWN:
            logger.warning(
                "Worker %s told to quit: still connected to a previous master", client_id
            )
            runner.server.send_to_client(Message("quit", None, client_id))

    environment.events.worker_report.add_listener(on_worker_report)
