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
.gradio-container, .gradio-container > .main { max-width: 100% !important; }
main.contain > .column { width: 100%; max-width: 56rem; margin-inline: auto; gap: .5rem; }
#who { padding-right: 3rem; font-size: .85rem; color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
#who b { color: var(--body-text-color); font-size: 1rem; }
#conversation { border-width: 0; background: transparent; }
#conversation .placeholder-content, #conversation .placeholder { text-align: center; margin: auto; opacity: .6; }
#conversation pre { white-space: pre; overflow-x: auto; }
#conversation table { display: block; max-width: 100%; overflow-x: auto; }
#conversation th, #conversation td { word-break: normal; overflow-wrap: normal; min-width: 4rem; }
#message { outline: 1px solid var(--input-border-color-focus, var(--border-color-primary)); outline-offset: -1px; }
#figures { min-height: 1.4em; text-align: center; font-size: .8rem; color: var(--body-text-color-subdued); }
.aside, .aside p { font-size: .8rem; color: var(--body-text-color-subdued); }
.sidebar .toggle-button .chevron { display: none; }
.sidebar .toggle-button::before { content: "\\2699"; font-size: 1.2rem; color: var(--body-text-color); }
@media (max-width: 640px) { main.contain { padding: .5rem !important; } }
footer { display: none !important; }
"""


def theme() -> gr.themes.Base:
    """Quiet, in the system's letters."""
    return gr.themes.Soft(primary_hue="teal", secondary_hue="teal", neutral_hue="gray", font=SANS, font_mono=MONO).set(
        body_background_fill="*background_fill_primary",
        body_background_fill_dark="*background_fill_primary",
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_padding="0",
        block_shadow="none",
        button_primary_shadow="none",
    )
