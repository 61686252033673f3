// A whole answer, a stream and an error, through a client whose types come from the server's document.
import createClient from "openapi-fetch";
import type { components, paths } from "./portico.js";

type Chunk = components["schemas"]["ChatCompletionChunk"];
type Message = components["schemas"]["ChatMessage"];

declare const process: { argv: string[] };
const client = createClient<paths>({ baseUrl: process.argv[2] });
const messages: Message[] = [{ role: "user", content: "What is the capital of France?" }];

const { data, error } = await client.POST("/v1/chat/completions", { body: { messages, temperature: 0 } });
if (error) throw new Error(error.error.message);
const answer = data as components["schemas"]["ChatCompletion"];
const whole: string | null | undefined = answer.choices[0].message.content;

const stream = await client.POST("/v1/chat/completions", {
  body: { messages, temperature: 0, stream: true },
  parseAs: "stream",
});
let streamed = "";
let pieces = 0;
let rest = "";
const decoder = new TextDecoder();
for await (const bytes of stream.data as unknown as AsyncIterable<Uint8Array>) {
  const events = (rest + decoder.decode(bytes, { stream: true })).split("\n\n");
  rest = events.pop() ?? "";
  for (const event of events.map((text) => text.replace(/^data: /, "")).filter((text) => text !== "[DONE]")) {
    const chunk = JSON.parse(event) as Chunk;
    streamed += chunk.choices[0].delta.content ?? "";
    pieces += 1;
  }
}

const refused = await client.POST("/v1/chat/completions", { body: { messages, model: "another" } });
console.log(JSON.stringify({ whole, streamed, pieces, error: refused.error?.error.code }));
