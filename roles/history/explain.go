package history

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/rules"
	"daemoneye/rules/sql"
)

// Explainer answers requests for an explanation, or for a backtest.
type Explainer struct {
	Source  sql.Source
	Limits  sql.Limits
	Lists   map[string]*sql.List
	Options sql.Options
	Matcher rules.MatcherConfig // as which the rules are run
	Rules   func() *rules.Set   // those whose exceptions count in a backtest; nil: none
}

// Explain returns the answer's column and its cells, one a row. The query is
// the one whose losses touch the answer: nil when it was not run, and for a
// rule, which sees less than its SELECT says.
func (x *Explainer) Explain(ctx context.Context, r *api.QueryRequest) (column api.QueryColumn, cells [][]byte, q *sql.Query, err error) {
	if r.Explain != api.ExplainPlan && r.Explain != api.ExplainAnalyze {
		return column, nil, nil, fmt.Errorf("explain %q: it can be %s or %s", r.Explain, api.ExplainPlan, api.ExplainAnalyze)
	}
	var tree any
	var lines []string
	analyze, cfg := r.Explain == api.ExplainAnalyze, sql.Config{Params: r.Params, Limits: x.Limits, Lists: x.Lists}
	if r.Rule {
		rule, err := rules.Parse("rule", []byte(r.SQL), cfg)
		if err != nil {
			return column, nil, nil, err
		}
		e, err := rule.Explain(ctx, x.Source, x.Options, x.Matcher, analyze)
		if err != nil {
			return column, nil, nil, err
		}
		tree, lines = e, e.Text()
	} else {
		if q, err = sql.Compile(r.SQL, cfg); err != nil {
			return column, nil, nil, err
		}
		n, err := q.Explain(ctx, x.Source, x.Options, analyze)
		if err != nil {
			return column, nil, nil, err
		}
		tree, lines = n, n.Text()
		if !analyze {
			q = nil
		}
	}
	if r.Tree {
		cells, err := jsonCell(tree)
		return api.QueryColumn{Name: api.PlanColumn, Type: "json"}, cells, q, err
	}
	for _, line := range lines {
		cell := []byte(line)
		if r.JSON {
			cell = event.AppendJSONString(nil, line)
		}
		cells = append(cells, cell)
	}
	return api.QueryColumn{Name: api.PlanColumn, Type: "text"}, cells, q, nil
}

// jsonCell is an answer of one cell.
func jsonCell(value any) ([][]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return [][]byte{bytes.TrimSpace(b.Bytes())}, err
}
