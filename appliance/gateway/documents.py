"""Step 5 of a request: the passages of the documents, as the asker may read them.

The connection goes back to the pool before any engine is asked to write. Embedding the question
belongs to the intent of its chat; without an embedder, words alone find passages.
"""

import asyncio
import logging
from dataclasses import replace

import msgspec
from psycopg import Error
from psycopg_pool import PoolTimeout

from appliance.db.pool import Pool
from appliance.errors import ApplianceError
from appliance.gateway.answer import Usage
from appliance.gateway.call import Call
from appliance.gateway.engines import Engines
from appliance.gateway.upstream import UnreachedError, UpstreamError
from appliance.identity import store
from appliance.identity.policy import Policy
from appliance.rag.retrieve import Near, Passage, retrieve
from appliance.rag.support import decide

log = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds for a connection of the pool
EMBED_PATIENCE = 2.0  # seconds for the question's vector
PASSAGES_MAX = 20  # what a record of them can hold
QUESTION_CHARACTERS = 4_000  # what is searched for
EMBED = b"/v1/embeddings"


class DocumentsAwayError(ApplianceError):
    """The database does not answer."""

    code = "CM-DOC-05"


class _Vector(msgspec.Struct):
    embedding: list[float]


class _Embedded(msgspec.Struct):
    data: list[_Vector]
    usage: Usage


_decode = msgspec.json.Decoder(_Embedded).decode


class Documents:
    """What grounds answers."""

    def __init__(self, pool: Pool, engines: Engines) -> None:
        self._pool, self._engines = pool, engines

    async def ground(self, call: Call, policy: Policy, question: str) -> None:
        """Find the passages of a call, and decide its outcome.

        Raises:
            UnknownCollectionError: A collection is hidden from the asker, or there is none.
            DocumentsAwayError: The database does not answer.
        """
        question = question[:QUESTION_CHARACTERS]
        near = await self._embed(call, policy, question)
        call.passages = await self._find(call, policy, question, near)
        call.outcome = decide(question, call.passages, policy.outcome).kind

    async def _find(
        self, call: Call, policy: Policy, question: str, near: Near | None
    ) -> list[Passage]:
        terms, k = call.terms, min(policy.limits.passages, PASSAGES_MAX)
        asker = replace(call.caller, clearance=terms.ceiling)
        try:
            async with self._pool.connection(timeout=PATIENCE) as conn:
                await store.act_as(conn, asker)
                return await retrieve(conn, question, terms.collections, k, near)
        except (Error, PoolTimeout, OSError) as exc:
            log.warning("documents.away", extra={"reason": type(exc).__name__})
            raise DocumentsAwayError("the documents cannot be read") from exc

    async def _embed(self, call: Call, policy: Policy, question: str) -> Near | None:
        engine = self._engines.embedder
        weight = policy.vector_weights.get(engine.name, 0.0) if engine else 0.0
        if engine is None or not engine.ready or not weight or not question:
            return None
        body = msgspec.json.encode({"model": engine.name, "input": question})
        try:
            async with asyncio.timeout(EMBED_PATIENCE):
                found = _decode(await (await engine.pool.post(EMBED, body)).read())
        except UnreachedError:
            self._engines.lost(engine)
            return None
        except (UpstreamError, msgspec.DecodeError, TimeoutError) as exc:
            log.warning("embedder.failed", extra={"reason": str(exc)})
            return None
        call.embedded = found.usage.prompt_tokens
        return Near(found.data[0].embedding, weight) if found.data else None
