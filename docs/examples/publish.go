// go mod init publish && go mod tidy && WARREN_AMQP_URL=$(./warren url) go run publish.go

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

func main() {
	connection, err := amqp.Dial(os.Getenv("WARREN_AMQP_URL"))
	check(err)
	defer connection.Close()
	channel, err := connection.Channel()
	check(err)
	check(channel.Confirm(false))
	queue, err := channel.QueueDeclare("", false, false, true, false, nil)
	check(err)
	answers, err := channel.Consume(queue.Name, "", true, true, false, false, nil)
	check(err)

	goal, _ := json.Marshal(map[string]any{"goal": "What is a dead-letter queue for?", "corpus": "broker-docs"})
	confirm, err := channel.PublishWithDeferredConfirmWithContext(context.Background(),
		"warren.commands", "cmd.planner.submit_goal.v1", true, false, amqp.Publishing{
			MessageId: uuid.NewString(), DeliveryMode: amqp.Persistent, ContentType: "application/json",
			ReplyTo: queue.Name, CorrelationId: "my-1", Body: goal,
		})
	check(err)
	confirm.Wait() // from here on the mesh has it
	answer := <-answers
	fmt.Println(answer.CorrelationId, string(answer.Body))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
