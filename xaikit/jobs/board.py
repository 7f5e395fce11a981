"""What the servers and workers of a cluster share in Redis: jobs, the units they wait for, and who is at what.

A job is one request of one owner; equal units are one work, for which any number of jobs wait. Works wait in a line of
their own for each model. Every change is one script, which Redis carries out as a whole. Nothing in Redis is a pickle.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from xaikit.errors import JobError, MissingPackage, UsageError
from xaikit.jobs.table import KEEP, KEEP_DAYS, SHOWN, Row

T = TypeVar("T")
SILENCE = 15.0
"""Seconds without a sign of life after which a worker counts as gone."""
NOBODY = 120.0
"""Seconds for which a work waits while no worker has its model."""
RESEND = 20.0
"""Seconds after which the first that waits is announced once more, in case that was lost."""
TRIES = 2
"""So often is a work begun whose worker goes."""
TIMEOUT = 5.0
PREFIX = "xaikit:"

BEGIN = f"""
local P = '{PREFIX}'
local clock = redis.call('time')
local now = clock[1] + clock[2] / 1000000
local function get(key, field) return redis.call('hget', P .. key, field) end
local function settled(work, status, error, kinds)
    local of = 'work:' .. work
    redis.call('hset', P .. of, 'status', status, 'ended', now, 'error', error, 'kinds', kinds)
    redis.call('zrem', P .. 'line:' .. get(of, 'source'), work)
    redis.call('zrem', P .. 'waiting', work)
    redis.call('zrem', P .. 'running', work)
    if redis.call('hget', P .. 'live', get(of, 'request')) == work then
        redis.call('hdel', P .. 'live', get(of, 'request'))
    end
    for _, job in ipairs(redis.call('smembers', P .. 'jobs:' .. work)) do
        redis.call('srem', P .. 'open:' .. get('job:' .. job, 'owner'), job)
    end
    redis.call('del', P .. 'unit:' .. work, P .. 'owners:' .. work)
end
local function queued(work)
    local of = 'work:' .. work
    redis.call('hset', P .. of, 'status', 'waiting', 'sent', now)
    redis.call('hdel', P .. of, 'started', 'done', 'total')
    redis.call('zadd', P .. 'line:' .. get(of, 'source'), get(of, 'number'), work)
    redis.call('zadd', P .. 'waiting', get(of, 'number'), work)
    redis.call('zrem', P .. 'running', work)
end
"""
ROWS = """
local function row(id)
    local job = redis.call('hgetall', P .. 'job:' .. id)
    if #job == 0 then return {} end
    local work = get('job:' .. id, 'work')
    local rank = redis.call('zrank', P .. 'line:' .. (get('work:' .. work, 'source') or ''), work)
    return {id, job, redis.call('hgetall', P .. 'work:' .. work), rank and tostring(rank + 1) or ''}
end
"""
SUBMIT = """
local id, owner, request, source, model, task, method, unit, queue, most, keep, rows = unpack(ARGV)
local work = redis.call('hget', P .. 'live', request)
if work and owner ~= '' then
    local same = get('owners:' .. work, owner)
    if same then return {'same', same} end
end
if not work and redis.call('zcard', P .. 'waiting') >= tonumber(queue) then
    return {'full', tostring(redis.call('zcard', P .. 'waiting'))}
end
if owner ~= '' and tonumber(most) > 0 and redis.call('scard', P .. 'open:' .. owner) >= tonumber(most) then
    return {'crowded', tostring(redis.call('scard', P .. 'open:' .. owner))}
end
local number = redis.call('incr', P .. 'number')
local fresh = 'joined'
if not work then
    work, fresh = id, 'fresh'
    redis.call('hset', P .. 'work:' .. work, 'request', request, 'source', source, 'number', number, 'tries', 0)
    redis.call('set', P .. 'unit:' .. work, unit)
    redis.call('hset', P .. 'live', request, work)
    redis.call('sadd', P .. 'sources', source)
    redis.call('expire', P .. 'work:' .. work, keep)
    redis.call('expire', P .. 'unit:' .. work, keep)
    queued(work)
end
redis.call('hset', P .. 'job:' .. id, 'work', work, 'owner', owner, 'model', model, 'task', task, 'method', method,
    'submitted', now)
redis.call('sadd', P .. 'jobs:' .. work, id)
for _, key in ipairs({'job:' .. id, 'jobs:' .. work}) do redis.call('expire', P .. key, keep) end
for _, key in ipairs({'all', 'of:' .. owner}) do
    redis.call('zadd', P .. key, number, id)
    redis.call('zremrangebyrank', P .. key, 0, -1 - tonumber(rows))
    redis.call('expire', P .. key, keep)
end
if owner ~= '' then
    redis.call('hset', P .. 'owners:' .. work, owner, id)
    redis.call('expire', P .. 'owners:' .. work, keep)
    redis.call('sadd', P .. 'open:' .. owner, id)
    redis.call('expire', P .. 'open:' .. owner, keep)
end
return {fresh, id}
"""
ROW = f"{ROWS} return row(ARGV[1])"
NEWEST = f"""{ROWS}
local found = {{}}
for _, id in ipairs(redis.call('zrevrange', P .. ARGV[1], 0, ARGV[2] - 1)) do table.insert(found, row(id)) end
return found
"""
CLAIM = """
local source, worker = unpack(ARGV)
local work = redis.call('zrange', P .. 'line:' .. source, 0, 0)[1]
if not work then return {} end
local unit = redis.call('get', P .. 'unit:' .. work)
redis.call('zrem', P .. 'line:' .. source, work)
redis.call('zrem', P .. 'waiting', work)
if not unit then return {} end
redis.call('hset', P .. 'work:' .. work, 'status', 'running', 'started', now, 'worker', worker)
redis.call('hincrby', P .. 'work:' .. work, 'tries', 1)
redis.call('zadd', P .. 'running', now, work)
return {work, unit}
"""
BEAT = """
local work, worker, done, total = unpack(ARGV)
if get('work:' .. work, 'status') ~= 'running' or get('work:' .. work, 'worker') ~= worker then return 'lost' end
if redis.call('scard', P .. 'jobs:' .. work) == 0 then return 'abandoned' end
redis.call('zadd', P .. 'running', now, work)
if total ~= '' then redis.call('hset', P .. 'work:' .. work, 'done', done, 'total', total) end
return 'go on'
"""
FINISH = """
local work, status, address, error, kinds, seconds, done, total = unpack(ARGV)
local before = get('work:' .. work, 'status')
if before ~= 'running' and before ~= 'waiting' then return 'late' end
redis.call('hset', P .. 'work:' .. work, 'address', address, 'seconds', seconds)
if total ~= '' then redis.call('hset', P .. 'work:' .. work, 'done', done, 'total', total) end
settled(work, status, error, kinds)
return 'settled'
"""
AGAIN = """
local work, worker, tries, error, kinds = unpack(ARGV)
if get('work:' .. work, 'status') ~= 'running' or get('work:' .. work, 'worker') ~= worker then return '' end
if tonumber(get('work:' .. work, 'tries')) >= tonumber(tries) or redis.call('scard', P .. 'jobs:' .. work) == 0 then
    settled(work, 'failed', error, kinds)
    return ''
end
queued(work)
return get('work:' .. work, 'source')
"""
ABANDON = """
local id = ARGV[1]
local work = get('job:' .. id, 'work')
if not work or get('job:' .. id, 'ended') then return 'late' end
local status = get('work:' .. work, 'status')
if status ~= 'running' and status ~= 'waiting' then return 'late' end
local owner = get('job:' .. id, 'owner')
redis.call('hset', P .. 'job:' .. id, 'ended', now)
redis.call('srem', P .. 'open:' .. owner, id)
redis.call('srem', P .. 'jobs:' .. work, id)
redis.call('hdel', P .. 'owners:' .. work, owner)
if redis.call('scard', P .. 'jobs:' .. work) > 0 then return 'others wait' end
if status == 'waiting' then settled(work, 'cancelled', '', '')
else redis.call('hdel', P .. 'live', get('work:' .. work, 'request')) end
return 'nobody waits'
"""
MEND = """
local silence, tries, nobody, resend = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local send = {}
for _, work in ipairs(redis.call('zrangebyscore', P .. 'running', '-inf', now - silence)) do
    local source = get('work:' .. work, 'source')
    if not source then redis.call('zrem', P .. 'running', work)
    elseif redis.call('scard', P .. 'jobs:' .. work) == 0 then settled(work, 'cancelled', '', '')
    elseif tonumber(get('work:' .. work, 'tries')) >= tries then settled(work, 'failed', ARGV[5], 'WorkerLost JobError')
    else
        queued(work)
        table.insert(send, source)
    end
end
for _, source in ipairs(redis.call('smembers', P .. 'sources')) do
    local here = redis.call('zcount', P .. 'serves:' .. source, now - silence, '+inf')
    local work = redis.call('zrange', P .. 'line:' .. source, 0, 0)[1]
    if not work then redis.call('srem', P .. 'sources', source)
    elseif here > 0 and now - (get('work:' .. work, 'sent') or 0) > resend then
        redis.call('hset', P .. 'work:' .. work, 'sent', now)
        table.insert(send, source)
    elseif here == 0 and now - (get('work:' .. work, 'sent') or 0) > nobody then
        settled(work, 'failed', ARGV[6], 'JobError')
    end
end
return send
"""
HERE = """
for at = 2, #ARGV do
    redis.call('zadd', P .. 'serves:' .. ARGV[at], now, ARGV[1])
    redis.call('zremrangebyscore', P .. 'serves:' .. ARGV[at], '-inf', now - 3600)
end
return #ARGV - 1
"""
SERVING = """
return redis.call('zcount', P .. 'serves:' .. ARGV[1], now - tonumber(ARGV[2]), '+inf')
"""


@dataclass(frozen=True)
class Claim:
    """A work that a worker has taken, and its unit as bytes."""

    work: str
    unit: bytes


class Board:
    """The shared state of a cluster in the Redis at a URL, as redis://:password@host:6379/0.

    All that it does raises JobError where Redis cannot be reached.
    """

    def __init__(self, url: str) -> None:
        try:
            import redis
        except ImportError:
            raise MissingPackage("redis", "distributed", "work on several servers") from None
        if not re.match(r"(rediss?|unix)://", url):
            raise UsageError(f"a broker is a URL as redis://host:6379/0, not {shown(url)!r}")
        self.url, self._failed = url, (redis.RedisError, OSError)
        try:
            self._redis = redis.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        except ValueError as error:
            raise UsageError(f"{shown(url)} is no address of a Redis: {error}") from None
        self._scripts: dict[str, Any] = {}

    def close(self) -> None:
        """Let the connections go."""
        self._redis.close()

    # --- for servers ----------------------------------------------------------------------------------------------

    def submit(
        self, row: Row, *, request: str, source: str, unit: bytes, queue: int, per_owner: int | None
    ) -> tuple[str, str]:
        """Put a job on the board.

        Gives "fresh" where it is to be announced, or "joined", with its id; "same" with the id of the owner's job that
        waits for the same; "full" and "crowded" with how many there are.
        """
        keep = int(KEEP_DAYS * 86400)
        told = self._run(
            SUBMIT,
            *(row.id, row.owner or "", request, source, row.model, row.task, row.method, unit, queue, per_owner or 0),
            *(keep, KEEP),
        )
        return told[0].decode(), told[1].decode()

    def row(self, id: str) -> Row | None:
        """Give a job's row, or None."""
        found = self._run(ROW, id)
        return _row(*found) if found else None

    def rows(self, owner: str | None = None, most: int = SHOWN) -> list[Row]:
        """Give the rows of an owner, or of all, newest first."""
        found = self._run(NEWEST, "all" if owner is None else f"of:{owner}", most)
        return [_row(*row) for row in found if row]

    def abandon(self, id: str) -> None:
        """Give a job up; when nobody waits for its work any more, that is given up too."""
        self._run(ABANDON, id)

    def serving(self, source: str) -> int:
        """Count the workers that have a model."""
        return int(self._run(SERVING, source, SILENCE))

    # --- for workers ----------------------------------------------------------------------------------------------

    def here(self, worker: str, sources: list[str]) -> None:
        """Say that a worker is there, and what models it has."""
        self._run(HERE, worker, *sources)

    def claim(self, source: str, worker: str) -> Claim | None:
        """Take the work of a model whose turn it is, or None."""
        found = self._run(CLAIM, source, worker)
        return Claim(found[0].decode(), found[1]) if found else None

    def beat(self, work: str, worker: str, progress: tuple[int, int] | None) -> bool:
        """Say that a worker is at it, and how far; False where it is to stop."""
        done, total = ("", "") if progress is None else progress
        return bool(self._run(BEAT, work, worker, done, total) == b"go on")

    def finish(
        self,
        work: str,
        status: str,
        *,
        address: str | None = None,
        error: str = "",
        kinds: tuple[str, ...] = (),
        seconds: float | None = None,
        progress: tuple[int, int] | None = None,
    ) -> None:
        """Settle a work, unless it is."""
        took, steps = "" if seconds is None else repr(seconds), progress or ("", "")
        self._run(FINISH, work, status, address or "", error, " ".join(kinds), took, *steps)

    def again(self, work: str, worker: str, error: str, kinds: tuple[str, ...]) -> str | None:
        """Queue a work anew whose process has died, or fail it; give the model for which one is to be announced."""
        return self._run(AGAIN, work, worker, TRIES, error, " ".join(kinds)).decode() or None

    def mend(self) -> list[str]:
        """Queue anew or fail what workers that are gone were at; give the models for which one is to be announced.

        Workers that could not reach Redis for a time are no workers that are gone.
        """
        up = self._tried(lambda: self._redis.info("server"))
        if up["uptime_in_seconds"] < SILENCE:
            return []
        gone = f"the worker that was at it has gone away, {TRIES} times: run it again"
        nobody = "no worker has this model: start one with xaikit worker, or run it again later"
        return [source.decode() for source in self._run(MEND, SILENCE, TRIES, NOBODY, RESEND, gone, nobody)]

    def _run(self, script: str, *given: Any) -> Any:
        known = self._scripts.setdefault(script, self._redis.register_script(BEGIN + script))
        return self._tried(lambda: known(args=given))

    def _tried(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except self._failed as error:
            raise Unreached(f"the queue at {shown(self.url)} cannot be reached, try again: {error}") from None


class Unreached(JobError):
    """A Redis that does not answer."""


def shown(url: str) -> str:
    """Give the URL of a broker without its password."""
    return re.sub(r"//[^@/]*@", "//…@", url)


def _row(id: bytes, job: list[bytes], work: list[bytes], place: bytes) -> Row:
    """Make a row of what the script ROW gives."""
    asked, done = _fields(job), _fields(work)
    status = "cancelled" if "ended" in asked else done.get("status", "failed")
    error = done.get("error") or ("it is not known any more, run it again" if status == "failed" else None)
    return Row(
        *(id.decode(), asked["model"], asked["task"], asked["method"], asked["owner"] or None, status),
        progress=(int(done["done"]), int(done["total"])) if "total" in done else None,
        place=int(place) if place and status == "waiting" else None,
        submitted=_number(asked, "submitted"),
        started=_number(done, "started"),
        ended=_number(asked if "ended" in asked else done, "ended"),
        seconds=_number(done, "seconds"),
        address=done.get("address") or None,
        error=error,
        kinds=tuple(done.get("kinds", "").split()),
    )


def _fields(pairs: list[bytes]) -> dict[str, str]:
    texts = [text.decode() for text in pairs]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _number(fields: Mapping[str, str], name: str) -> float | None:
    return float(fields[name]) if fields.get(name) else None
