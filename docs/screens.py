"""Render every state of the console, light and dark, desktop and phone, into docs/screens/.

`make screens` runs it. It starts the real server, the demo's real sites and sandboxes, and two operators' browsers; an
agent's part is played over REST. Nothing is drawn by hand, so a picture that looks wrong is a console that looks wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, WebSocketRoute, async_playwright, expect

from web.demo.sites import Site, captcha_site, free_port, wagtail_site

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "screens"
LEASE_S = "14"
DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}


@dataclass
class Stage:
    """One server, one look, and what is needed to bring about a state."""

    browser: Browser
    theme: str
    device: str
    url: str
    state: Path
    process: asyncio.subprocess.Process
    agent: httpx.AsyncClient
    captcha: Site
    wagtail: Site

    async def command(self, *arguments: str) -> str:
        """Run a `baton` command on the server's state."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "web.cli", *arguments, "--state-dir", str(self.state), cwd=ROOT,
            env={**os.environ, "BATON_PORT": self.url.rpartition(":")[2]}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        return out.decode().strip()

    async def context(self) -> BrowserContext:
        """A browser that looks as this stage should."""
        phone = self.device == "phone"
        context = await self.browser.new_context(
            viewport=PHONE if phone else DESKTOP, color_scheme="dark" if self.theme == "dark" else "light",
            has_touch=phone, is_mobile=phone, device_scale_factor=2 if phone else 1, reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(20_000)
        return context

    async def operator(self, name: str) -> Page:
        """A signed-in operator at the queue."""
        page = await (await self.context()).new_page()
        await page.goto(await self.command("link", "--name", name))
        await page.wait_for_url(f"{self.url}/")
        return page

    async def open(self, url: str, name: str) -> str:
        """Open a sandbox as an agent does."""
        answer = await self.agent.post("/v1/sandboxes", json={"url": url, "name": name})
        answer.raise_for_status()
        return str(answer.json()["id"])

    async def ask(self, sandbox: str, kind: str, instructions: str, condition: Any = None) -> str:
        """Ask for a human as an agent does."""
        body = {"kind": kind, "instructions": instructions, "condition": condition}
        answer = await self.agent.post(f"/v1/sandboxes/{sandbox}/handoffs", json=body)
        answer.raise_for_status()
        return str(answer.json()["id"])

    async def shoot(self, page: Page, name: str) -> None:
        """Write what the page looks like now."""
        await page.wait_for_timeout(700)
        image = Image.open(io.BytesIO(await page.screenshot()))
        path = OUT / f"{name}-{self.theme}-{self.device}.png"
        image.convert("RGB").save(path, optimize=True)
        print(path.relative_to(ROOT))

    async def see(self, page: Page, sandbox: str, view: str) -> None:
        """Go to a live view and wait for its state."""
        await page.goto(f"{self.url}/sandboxes/{sandbox}")
        await self.becomes(page, view)

    async def becomes(self, page: Page, view: str) -> None:
        """Wait until the live view is in a state."""
        await expect(page.locator("body")).to_have_attribute("data-view", view, timeout=20_000)


@contextlib.asynccontextmanager
async def stage(browser: Browser, theme: str, device: str, sites: tuple[Site, Site]) -> AsyncIterator[Stage]:
    """A fresh server, ended with everything in it."""
    with tempfile.TemporaryDirectory() as home:
        state, port = Path(home) / "state", free_port()
        url = f"http://127.0.0.1:{port}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "web.cli", "serve", "--port", str(port), "--state-dir", str(state), cwd=ROOT,
            env={**os.environ, "BATON_LEASE_S": LEASE_S, "BATON_ADOPTION_S": "5"},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with httpx.AsyncClient(base_url=url, timeout=60) as agent:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await agent.get("/healthz")).is_success:
                        break
                await asyncio.sleep(0.1)
            one = Stage(browser, theme, device, url, state, process, agent, *sites)
            agent.headers["Authorization"] = f"Bearer {await one.command('token', 'create', '--role', 'agent')}"
            try:
                yield one
            finally:
                if process.returncode is None:
                    process.send_signal(signal.SIGINT)
                    await process.wait()


async def doors(stage: Stage) -> None:
    """What is seen before one is in, and an empty queue."""
    page = await (await stage.context()).new_page()
    await page.goto(stage.url)
    await stage.shoot(page, "no-link")
    link = await stage.command("link", "--name", "Ada")
    await page.goto(link)
    await page.wait_for_url(f"{stage.url}/")
    await expect(page.locator("#empty")).to_be_visible()
    await stage.shoot(page, "queue-empty")
    await page.goto(link)
    await stage.shoot(page, "link-used")
    await page.goto(f"{stage.url}/nowhere")
    await stage.shoot(page, "not-found")
    await page.context.close()


async def handoffs(stage: Stage) -> None:
    """From watching an agent to thank you."""
    shop = await stage.open(stage.captcha.url, "registration")
    office = await stage.open(f"{stage.wagtail.url}/admin/", "editor")
    ada, kim = await stage.operator("Ada"), await stage.operator("Kim")
    await stage.see(ada, shop, "watching")
    await stage.shoot(ada, "watching")
    condition = {"url": "*?ok*"}
    await stage.ask(shop, "captcha", "Type the letters you see in the picture, then press Submit.", condition)
    await stage.ask(office, "credentials", "Sign in to the editor. I will change the home page's title after that.")
    await stage.see(ada, shop, "waiting")
    await stage.shoot(ada, "waiting")
    await stage.see(kim, office, "waiting")
    await kim.get_by_role("button", name="Take control").click()
    await stage.becomes(kim, "driving")
    await stage.shoot(kim, "secret")
    await ada.goto(stage.url)
    await expect(ada.locator("#rows > li")).to_have_count(2)
    await stage.shoot(ada, "queue")
    await stage.see(ada, office, "other")
    await stage.shoot(ada, "other")
    await kim.context.close()
    await stage.becomes(ada, "parked")
    await stage.shoot(ada, "parked")
    await driving(stage, ada, shop)
    await ada.goto(f"{stage.url}/sandboxes")
    await stage.shoot(ada, "sandboxes")
    await trouble(stage, ada, shop, office)


async def driving(stage: Stage, page: Page, sandbox: str) -> None:
    """What the one who has control sees."""
    await stage.see(page, sandbox, "waiting")
    await page.get_by_role("button", name="Take control").click()
    await stage.becomes(page, "driving")
    await stage.shoot(page, "driving")
    await page.locator("#quality summary").click()
    await page.wait_for_timeout(4000)
    await stage.shoot(page, "connection")
    await page.locator("#quality summary").click()
    await page.get_by_role("button", name="Done").click()
    await stage.shoot(page, "missing")
    await page.get_by_label("Finish anyway, because").fill("It is only for the picture")
    await page.get_by_role("button", name="Finish anyway").click()
    await stage.becomes(page, "finished")
    await stage.shoot(page, "finished")


async def trouble(stage: Stage, page: Page, shop: str, office: str) -> None:
    """What is seen when something is gone."""

    async def cut(socket: WebSocketRoute) -> None:
        await asyncio.sleep(1)
        await socket.close(code=1012)

    def let_once(routes: list[WebSocketRoute]) -> Callable[[WebSocketRoute], Awaitable[None] | None]:
        def route(socket: WebSocketRoute) -> Awaitable[None] | None:
            routes.append(socket)
            if len(routes) > 1:
                return cut(socket)
            socket.connect_to_server()
            return None

        return route

    routes: list[WebSocketRoute] = []
    await page.route_web_socket("**/live", let_once(routes))
    await stage.see(page, office, "parked")
    await page.wait_for_timeout(1500)
    await routes[0].close(code=1012)
    await stage.becomes(page, "lost")
    await stage.shoot(page, "lost")
    await page.unroute_all()
    fresh = await page.context.new_page()
    await stage.see(fresh, shop, "watching")
    await stage.agent.delete(f"/v1/sandboxes/{shop}")
    await stage.becomes(fresh, "ended")
    await stage.shoot(fresh, "ended")
    await stage.see(fresh, office, "parked")
    await fresh.wait_for_timeout(1500)
    stage.process.kill()
    await stage.process.wait()
    await stage.becomes(fresh, "down")
    await stage.shoot(fresh, "server-gone")


async def main() -> None:
    """Render everything; arguments choose looks, as `dark-phone`."""
    OUT.mkdir(parents=True, exist_ok=True)
    looks = [(theme, device) for theme in ("light", "dark") for device in ("desktop", "phone")]
    with tempfile.TemporaryDirectory() as home:
        sites = await captcha_site(Path(home)), await wagtail_site(Path(home))
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                for theme, device in looks:
                    if len(sys.argv) == 1 or f"{theme}-{device}" in sys.argv[1:]:
                        async with stage(browser, theme, device, sites) as one:
                            await doors(one)
                            await handoffs(one)
                await browser.close()
        finally:
            for site in sites:
                await site.close()


if __name__ == "__main__":
    asyncio.run(main())
