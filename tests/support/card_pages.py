"""Teams cards as the official Adaptive Cards renderer shows them, with Markdown read as it recommends."""

import json
from collections.abc import Mapping
from pathlib import Path

from shared.adapters.teams_card import card_message
from shared.application.ports import GateLink, Letter

NODE_MODULES = Path(__file__).parents[2] / "node_modules"
SCRIPTS: Mapping[str, Path] = {
    "scripts/adaptivecards.js": NODE_MODULES / "adaptivecards" / "dist" / "adaptivecards.min.js",
    "scripts/markdown-it.js": NODE_MODULES / "markdown-it" / "dist" / "markdown-it.min.js",
}
"""What a card's page loads, by the name it is served under."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Teams card</title><style>
:root {{ color-scheme: light dark; --paper: #f0f0f0; --sheet: #fff; --ink: #242424; --soft: #616161; --link: #4f52b2; }}
@media (prefers-color-scheme: dark) {{
:root {{ --paper: #141414; --sheet: #292929; --ink: #fff; --soft: #adadad; --link: #9ea2ff; }} }}
body {{ margin: 0; padding: 12px; background: var(--paper); font: 14px/1.4 "Segoe UI", system-ui, sans-serif; }}
main * {{ overflow-wrap: anywhere; }} .ac-fact-title * {{ white-space: nowrap; }}
main {{ background: var(--sheet); border-radius: 6px; box-shadow: 0 1px 3px #0004; max-width: 44rem; }}
h1 {{ position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }}
.ac-pushButton {{ font: inherit; font-weight: 600; color: var(--ink); background: transparent; cursor: pointer;
border: 1px solid #8a8a8a; border-radius: 4px; padding: 6px 12px; }} a {{ color: var(--link); }} p {{ margin: 0; }}
</style>
<script src="/scripts/markdown-it.js"></script><script src="/scripts/adaptivecards.js"></script></head>
<body><main id="card"><h1>Teams card</h1></main>
<script>
const markdown = window.markdownit();
AdaptiveCards.AdaptiveCard.onProcessMarkdown = (text, result) => {{
  result.outputHtml = markdown.render(text); result.didProcess = true;
}};
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const colours = dark ? ["#ffffff", "#adadad"] : ["#242424", "#616161"];
const card = new AdaptiveCards.AdaptiveCard();
card.hostConfig = new AdaptiveCards.HostConfig({{
  fontFamily: '"Segoe UI", system-ui, sans-serif',
  fontSizes: {{ small: 12, default: 14, medium: 14, large: 18, extraLarge: 24 }},
  spacing: {{ small: 8, default: 12, medium: 16, large: 20, padding: 16 }},
  containerStyles: {{ default: {{ backgroundColor: "transparent", foregroundColors: {{
    default: {{ default: colours[0], subtle: colours[1] }} }} }} }},
  actions: {{ actionsOrientation: "horizontal", actionAlignment: "left" }},
  factSet: {{ title: {{ weight: "Bolder", maxWidth: 130 }}, spacing: 12 }},
}});
const context = new AdaptiveCards.SerializationContext();
card.parse({card}, context);
const results = card.validateProperties();
window.findings = [
  ...Array.from({{ length: context.eventCount }}, (_, n) => context.getEventAt(n).message),
  ...results.validationEvents.map((event) => event.message),
];
document.getElementById("card").append(card.render());
</script></body></html>
"""


def card_page(letter: Letter) -> str:
    """A page with the card of one message; its script leaves what the parser complained about in `findings`."""
    (attachment,) = json.loads(json.dumps(card_message(letter)))["attachments"]
    # Inside a script nothing may look like its end.
    return PAGE.format(card=json.dumps(attachment["content"]).replace("<", "\\u003c"))


def signed_in_link() -> GateLink:
    """What a card carries where people sign in."""
    return GateLink(url="https://releases.example.com/approvals/eyJ0.token-of-the-channel", code="")
