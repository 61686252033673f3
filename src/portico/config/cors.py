"""What pages of other origins may do with a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CorsRules:
    """The lists of Cross-Origin Resource Sharing; "*" stands for any."""

    origins: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ("*",)
    headers: tuple[str, ...] = ("*",)
    credentials: bool = False
    """Whether such a page may send cookies along."""

    @property
    def credentials_for_all(self) -> bool:
        """Whether they are asked for together with any origin, which no browser takes and nobody should want."""
        return self.credentials and "*" in self.origins
