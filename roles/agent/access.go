package agent

import (
	"daemoneye/bus"
	"daemoneye/roles/api"
)

// access is the table of who may do what on the agent's socket. What is not
// here is refused.
func access() []bus.Access {
	return []bus.Access{
		{Role: bus.Collector, Verb: bus.Request, Name: api.Register},
		{Role: bus.Collector, Verb: bus.Request, Name: api.CollectorNeeds},
		{Role: bus.Collector, Verb: bus.Request, Name: api.CollectorQuestions},
		{Role: bus.Collector, Verb: bus.Request, Name: api.CollectorAnswer},
		{Role: bus.Collector, Verb: bus.Request, Name: api.LedgerAppend},
		{Role: bus.Collector, Verb: bus.Request, Name: api.LedgerAppended},
		{Role: bus.Collector, Verb: bus.Publish, Name: api.EventsTopic + "+"},
		{Role: bus.Collector, Verb: bus.Publish, Name: api.HeartbeatTopic},

		{Role: bus.Operator, Verb: bus.Request, Name: api.Health},
		{Role: bus.Operator, Verb: bus.Request, Name: api.Query},
		{Role: bus.Operator, Verb: bus.Request, Name: api.RulesReload},
		{Role: bus.Operator, Verb: bus.Request, Name: api.RulesSwitch},
		{Role: bus.Operator, Verb: bus.Request, Name: api.RulesHistory},
		{Role: bus.Operator, Verb: bus.Request, Name: api.RulesRollback},
		{Role: bus.Operator, Verb: bus.Request, Name: api.LedgerCheckpoint},
		{Role: bus.Operator, Verb: bus.Request, Name: api.LedgerCosign},
		{Role: bus.Operator, Verb: bus.Request, Name: api.LedgerRotate},
		{Role: bus.Operator, Verb: bus.Subscribe, Name: api.EventsTopic + "+"},
		{Role: bus.Operator, Verb: bus.Subscribe, Name: api.AlertsTopic + "+"},
	}
}

// handlers are the functions behind the requests of the table.
func (a *agent) handlers() map[string]bus.Handler {
	return map[string]bus.Handler{
		api.Register:           a.register,
		api.CollectorNeeds:     a.collectorNeeds,
		api.CollectorQuestions: a.questions.ask,
		api.CollectorAnswer:    a.questions.take,
		api.Health:             a.health,
		api.Query:              a.query,
		api.RulesReload:        a.rulesReload,
		api.RulesSwitch:        a.ruleSwitch,
		api.RulesHistory:       a.rulesHistory,
		api.RulesRollback:      a.rulesRollback,
		api.LedgerAppend:       a.recorder.serve,
		api.LedgerAppended:     a.recorder.take,
		api.LedgerCheckpoint:   a.recorder.pass(api.LedgerCheckpoint),
		api.LedgerCosign:       a.recorder.pass(api.LedgerCosign),
		api.LedgerRotate:       a.recorder.pass(api.LedgerRotate),
	}
}
