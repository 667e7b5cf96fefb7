// Handle a conversation with Intercom's own package.
const { IntercomClient } = require("intercom-client");

let input = "";
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", async () => {
  const { url, token, conversation, admin, team } = JSON.parse(input);
  const client = new IntercomClient({ token, environment: url, maxRetries: 0 });
  const result = {};
  const at = { conversation_id: conversation };
  result.found = await client.conversations.find(at);
  const written = { type: "admin", admin_id: admin };
  await client.conversations.reply({ ...at, body: { ...written, message_type: "comment", body: "<p>Hi</p>" } });
  await client.conversations.reply({ ...at, body: { ...written, message_type: "note", body: "<p>psst</p>" } });
  const assignment = { message_type: "assignment", type: "team", admin_id: admin, assignee_id: team };
  await client.conversations.manage({ ...at, body: assignment });
  const tag = await client.tags.create({ name: "billing" });
  await client.tags.tagConversation({ ...at, id: tag.id, admin_id: admin });
  result.tags = (await client.tags.list()).data.map(({ name }) => name);
  result.admins = (await client.admins.list()).admins.map(({ id }) => id);
  result.closed = await client.conversations.manage({ ...at, body: { message_type: "close", type: "admin", admin_id: admin } });
  const nobody = client.conversations.find({ conversation_id: "404404" });
  result.missing = await nobody.catch((error) => ({ status: error.statusCode, body: error.body }));
  process.stdout.write(JSON.stringify(result));
});
