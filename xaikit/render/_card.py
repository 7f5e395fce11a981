"""A model card as a small piece of HTML for a notebook."""

from html import escape
from typing import Any

from xaikit.figures import about_lines, file_lines, measures, recipe_lines, training_lines

STYLE = (
    ".xk-card{max-width:860px;font:14px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}"
    ".xk-card dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:8px 0}"
    ".xk-card dt{opacity:.7}.xk-card dd{margin:0;overflow-wrap:anywhere}"
    ".xk-card h3{margin:0;font-size:19px}.xk-card h4{margin:14px 0 0;font-size:14px}"
    ".xk-card ul{margin:6px 0;padding-left:1.2em}"
)


def card_html(card: Any) -> str:
    """Say what a card says: results first, then data, training, limits and file; in the notebook's own colours."""
    stored = card.to_dict()
    trained = stored["trained"]
    parts = [f"<h3>{escape(card.title)}</h3><div><code>{escape(card.name)}</code>, task: {escape(card.task)}.</div>"]
    for found in measures(trained["metrics"]) if trained else ():
        on = f" on {found.samples:,} test samples" if found.samples else ""
        parts.append(f"<h4>{escape(found.output or 'Test results')}{on}</h4>{_pairs(dict(found.rows))}")
    if not trained:
        parts.append("<h4>Not trained</h4>")
    parts.append(f"<h4>Network and data</h4>{_pairs(about_lines(stored))}")
    if stored["recipe"]:
        parts.append(f"<h4>Recipe</h4>{_items(recipe_lines(stored['recipe']))}")
    if trained:
        parts.append(f"<h4>Training</h4>{_pairs(training_lines(trained) | file_lines(trained))}")
    if card.limits:
        parts.append(f"<h4>Limits</h4>{_items(card.limits)}")
    return f'<style>{STYLE}</style><div class="xk-card">{"".join(parts)}</div>'


def _pairs(facts: dict[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items()) + "</dl>"


def _items(lines: tuple[str, ...]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
