// Handle a conversation with Crisp's own package.
const { Crisp } = require("crisp-api");

let input = "";
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", async () => {
  const { url, identifier, key, website, session, inbox, operator } = JSON.parse(input);
  const crisp = new Crisp();
  crisp.setRestHost(url);
  crisp.authenticateTier("plugin", identifier, key);
  const result = {};
  result.conversation = await crisp.website.getConversation(website, session);
  const text = { type: "text", from: "operator", origin: "chat", content: "Hi there" };
  result.sent = await crisp.website.sendMessageInConversation(website, session, text);
  const note = { type: "note", from: "operator", origin: "chat", content: "psst" };
  await crisp.website.sendMessageInConversation(website, session, note);
  result.messages = await crisp.website.getMessagesInConversation(website, session);
  await crisp.website.assignConversationRouting(website, session, { assigned: { user_id: operator } });
  await crisp.website.updateConversationInbox(website, session, inbox);
  const meta = await crisp.website.getConversationMetas(website, session);
  const segments = [...meta.segments, "billing"];
  await crisp.website.updateConversationMetas(website, session, { segments, data: { triage: "billing" } });
  await crisp.website.changeConversationState(website, session, "resolved");
  await crisp.website.blockIncomingMessagesForConversation(website, session, true);
  crisp.authenticateTier("plugin", identifier, "wrong");
  result.refused = await crisp.website.getConversation(website, session).catch((error) => error);
  process.stdout.write(JSON.stringify(result));
});
