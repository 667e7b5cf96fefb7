// Verify the signature of a hook with Crisp's own package; `verifyHook` does the same once a listener is bound.
const { Crisp } = require("crisp-api");

let input = "";
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", () => {
  const { secret, body, timestamp, signature } = JSON.parse(input);
  const crisp = new Crisp();
  process.stdout.write(JSON.stringify(crisp.verifyWidget(secret, JSON.parse(body), timestamp, signature)));
});
