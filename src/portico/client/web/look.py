"""Colours, letters and spaces of the page; nothing of it comes from elsewhere."""

from __future__ import annotations

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Noto Sans CJK SC", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Noto Sans Mono", "monospace")
HEAD = '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data: blob:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'none'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
"""What the browser may fetch: from this server only, whatever an answer's Markdown says."""
CSS = """
.gradio-container { max-width: 100% !important; }
main.fillable { max-width: 52rem !important; margin: 0 auto; }
#conversation { border: none; background: transparent; }
#figures { min-height: 1.4em; text-align: center; font-size: .8rem; color: var(--body-text-color-subdued); }
.aside, .aside p { font-size: .8rem; color: var(--body-text-color-subdued); }
@media (max-width: 640px) { main.fillable { padding: .5rem !important; } }
footer { display: none !important; }
"""


def theme() -> gr.themes.Base:
    """Quiet, in the system's letters."""
    return gr.themes.Soft(primary_hue="teal", secondary_hue="teal", neutral_hue="gray", font=SANS, font_mono=MONO).set(
        body_background_fill="*background_fill_primary",
        block_shadow="none",
        button_primary_shadow="none",
    )
