"""CAPTCHA widgets in forms of several kinds.

Where a vendor's package carries its widget (hCaptcha, Friendly Captcha, ALTCHA: npm), its script runs in the page, from
node_modules and without a network; for the others the container is what their documentation and Django packages put
into a page, which their script would fill.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.control.detector.kinds import Made

_MODULES: Final = Path(__file__).resolve().parents[3] / "node_modules"
_CDN: Final = "https://cdn.site.example/"

_WIDGETS: Final = {  # sort: (what stands in the form, the package's script)
    "hcaptcha": ('<h-captcha site-key="k"></h-captcha>', "@hcaptcha/vanilla-hcaptcha/dist/index.min.js"),
    "friendly_captcha": ('<div class="frc-captcha" data-sitekey="k"></div>', "friendly-challenge/widget.min.js"),
    "altcha": ('<altcha-widget challenge="/challenge"></altcha-widget>', "altcha/dist/main/altcha.js"),
    "recaptcha": ('<div class="g-recaptcha" data-sitekey="k" data-widget-uuid="1"></div>', ""),
    "turnstile": ('<div class="cf-turnstile" data-sitekey="k" data-theme="light"></div>', ""),
    "captchafox": ('<div id="c" class="captchafox" data-sitekey="k" data-lang="de"></div>', ""),
    "yandex": ('<div id="c" class="smart-captcha" data-sitekey="k" data-hl="ru" style="height:100px"></div>', ""),
}

_FORMS: Final = (
    "<form><label>Name <input name=n></label><textarea name=m></textarea>{}<button>Send</button></form>",
    "<html lang=de><table><tr><td>E-Mail</td><td><input name=mail></td></tr><tr><td>{}</td></tr></table></html>",
    "<html lang=ru><main class=v-main><form><input name=q>{}<button>Отправить</button></form></main></html>",
    "<html lang=ja><div style='position:fixed;inset:20%'><p>確認が必要です</p>{}<button>送信</button></div></html>",
)


def widgets() -> Iterator[Made]:
    """Yield a page for each widget in each form. Raises `FileNotFoundError` where `make setup` has not run."""
    for sort, (markup, path) in _WIDGETS.items():
        scripts = {_CDN + path: (_MODULES / path).read_text(encoding="utf-8")} if path else {}
        loads = "".join(f'<script type=module src="{url}"></script>' for url in scripts)
        for number, form in enumerate(_FORMS):
            page = f"<!doctype html>{form.replace('{}', markup)}{loads}"
            yield Made(f"{sort} in form {number}", "captcha", sort, page, scripts=scripts)
