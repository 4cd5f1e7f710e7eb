// npm install amqplib && WARREN_AMQP_URL=$(./warren url) node publish.mjs
import amqp from "amqplib";
import { randomUUID } from "node:crypto";

const connection = await amqp.connect(process.env.WARREN_AMQP_URL);
const channel = await connection.createConfirmChannel();
const { queue } = await channel.assertQueue("", { exclusive: true });

channel.on("return", (message) => console.error("nobody takes it:", message.fields.routingKey));
await channel.consume(queue, (message) => {
  const answer = JSON.parse(message.content);
  console.log(message.properties.correlationId, answer.status, answer.reason ?? "");
  console.log(answer.report ?? "");
  connection.close();
}, { noAck: true });

const goal = { goal: "What is a dead-letter queue for?", corpus: "broker-docs" };
channel.publish("warren.commands", "cmd.planner.submit_goal.v1", Buffer.from(JSON.stringify(goal)), {
  messageId: randomUUID(), persistent: true, mandatory: true, contentType: "application/json",
  replyTo: queue, correlationId: "my-1",
});
await channel.waitForConfirms(); // from here on the mesh has it
