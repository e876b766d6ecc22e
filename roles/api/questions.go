package api

import "time"

// Requests of collectors about the present state, which the agent does not keep.
const (
	// CollectorQuestions: nil → Question…, until the connection ends.
	CollectorQuestions = "collector.questions"
	// CollectorAnswer: Answer → nil; several for one question.
	CollectorAnswer = "collector.answer"
)

// Question asks for the rows of network_connections. They come one at a time.
type Question struct {
	ID uint64 `msgpack:"id"`
}

// Answer is a part of the answer, or its end.
type Answer struct {
	ID    uint64 `msgpack:"id"`    // of the question
	Batch []byte `msgpack:"batch"` // encoded rows
	Done  bool   `msgpack:"done"`  // there is no more
	Left  int64  `msgpack:"left"`  // with Done: rows that were too many
	Error string `msgpack:"error"` // with Done: why the answer is none; a sentence for people
}

// AnswerTime is how long an answer may take.
const AnswerTime = 10 * time.Second

// What an answer holds at most. A collector leaves out what is more and counts it.
const (
	MaxConnections     = 1 << 16  // rows
	MaxConnectionBytes = 64 << 20 // encoded
)
