"""Re-embedding for who may maintain the installation, and recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.api.schema import ModelInfo
from service.api.schema_reembedding import Reembedding, ReembeddingFailure, ReembeddingJob
from service.problems import ProblemError
from service.reembedding import Job, JobState, ReembeddingError
from service.security.access import Permission
from service.security.people import recorded

if TYPE_CHECKING:
    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = ["ScopedReembedding"]

FAILURES_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ScopedReembedding:
    """Every method may raise what `Scoped` may, and ProblemError 404 or 409 where it cannot be turned so."""

    scoped: Scoped

    def state(self) -> Reembedding:
        services = self._services()
        model, loaded = services.gallery_model(), services.require_model()
        return Reembedding(
            gallery_model=ModelInfo(hash=model.hash, label=model.label),
            loaded_model=ModelInfo(hash=loaded.hash, label=loaded.label),
            job=self._shown(services, services.jobs.read()),
        )

    def start(self, *, accept_losses: bool) -> Reembedding:
        """Begin one to the model that this process has loaded, or go on with it."""
        services = self._services()
        target = services.require_model().of_gallery
        details = {"model": target.hash, "accept_losses": accept_losses}
        with recorded(services.audit, "reembed.start", self.scoped.trail, **details):
            try:
                services.jobs.start(target, self.scoped.access.account, accept_losses=accept_losses)
            except ReembeddingError as error:
                raise ProblemError(409, "reembedding-under-way", str(error)) from None
        return self.state()

    def resume(self, *, accept_losses: bool) -> Reembedding:
        """Go on with a paused one, whichever model it is to."""
        services = self._services()
        job = services.jobs.read()
        if job is None or job.state is not JobState.PAUSED:
            raise _not_so(job, "paused")
        details = {"model": job.target.hash, "accept_losses": accept_losses}
        with recorded(services.audit, "reembed.start", self.scoped.trail, **details):
            services.jobs.start(job.target, job.account, accept_losses=accept_losses)
        return self.state()

    def pause(self) -> Reembedding:
        return self._turned("reembed.pause", JobState.PAUSED, JobState.RUNNING)

    def stop(self) -> Reembedding:
        """End it; the gallery stays with the model that it has. Vectors that were made are used by a later one."""
        return self._turned("reembed.stop", JobState.STOPPED, JobState.RUNNING, JobState.PAUSED)

    def _turned(self, event: str, state: JobState, *before: JobState) -> Reembedding:
        services = self._services()
        job = services.jobs.read()
        if job is None or job.state not in before:
            raise _not_so(job, " or ".join(before))
        with recorded(services.audit, event, self.scoped.trail, model=job.target.hash):
            if not services.jobs.turn(state, *before):
                raise _not_so(job, " or ".join(before))
        return self.state()

    def _services(self) -> Services:
        return self.scoped.of_every_camera(Permission.MAINTAIN)

    @staticmethod
    def _shown(services: Services, job: Job | None) -> ReembeddingJob | None:
        if job is None:
            return None
        failures = services.jobs.failures(FAILURES_SHOWN)
        return ReembeddingJob(
            state=job.state,
            model=ModelInfo(hash=job.target.hash, label=job.target.label),
            account=job.account,
            started_at=job.started_at,
            working=services.jobs.is_worked_on(),
            total=job.total,
            seen=job.seen,
            embedded=job.embedded,
            failed=services.jobs.failed_count(),
            failures=[ReembeddingFailure(tracklet_id=one, reason=f.reason) for one, f in sorted(failures.items())],
            watch_entries=job.watch_entries,
            error=job.error or None,
        )


def _not_so(job: Job | None, state: str) -> ProblemError:
    if job is None:
        return ProblemError(404, "reembedding-not-found", "There never was a re-embedding.")
    return ProblemError(409, "reembedding-not-so", f"The re-embedding is {job.state}, and not {state}.")
