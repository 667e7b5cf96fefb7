"""The design of a typical tutorial: it works for one message, and blocks the event loop for every other one.

The SDK's sync client is called in an async route, each call to the help desk opens a new client, and nothing is stored.
"""

import hmac
import json
import os

import anthropic
import httpx
from fastapi import FastAPI, HTTPException, Request

PROMPT = 'Classify the message as urgent, billing, general or spam. Answer with JSON: {"label": "…"}.'
TEAMS = {
    "urgent": os.environ["INTERCOM_TEAM_ONCALL"],
    "billing": os.environ["INTERCOM_TEAM_BILLING"],
    "general": os.environ["INTERCOM_TEAM_SUPPORT"],
}

app = FastAPI()
claude = anthropic.Anthropic()


@app.head("/webhooks/intercom")
def check() -> None:
    """Intercom checks the URL with HEAD when you save it."""


@app.post("/webhooks/intercom")
async def webhook(request: Request) -> dict[str, str]:
    """Classify a new conversation, assign it to a team, and reply."""
    body = await request.body()
    digest = hmac.new(os.environ["INTERCOM_CLIENT_SECRET"].encode(), body, "sha1").hexdigest()
    if not hmac.compare_digest(request.headers.get("x-hub-signature", ""), f"sha1={digest}"):
        raise HTTPException(401)
    conversation = json.loads(body)["data"]["item"]
    message = claude.messages.create(
        model="claude-haiku-5-5",
        max_tokens=300,
        system=PROMPT,
        messages=[{"role": "user", "content": conversation["source"]["body"]}],
    )
    label = json.loads("".join(block.text for block in message.content if block.type == "text"))["label"]
    assignment = {"message_type": "assignment", "type": "team", "assignee_id": TEAMS[label]}
    await call_desk(f"/conversations/{conversation['id']}/parts", assignment)
    reply = {"message_type": "comment", "type": "admin", "body": "Thank you. Our team will answer you soon."}
    await call_desk(f"/conversations/{conversation['id']}/reply", reply)
    return {"status": "ok"}


async def call_desk(path: str, body: dict[str, str]) -> None:
    """Make a call to the help desk."""
    async with httpx.AsyncClient(base_url=os.environ["INTERCOM_BASE_URL"]) as client:
        headers = {"Authorization": f"Bearer {os.environ['INTERCOM_ACCESS_TOKEN']}"}
        response = await client.post(path, headers=headers, json={**body, "admin_id": os.environ["INTERCOM_ADMIN_ID"]})
        response.raise_for_status()
