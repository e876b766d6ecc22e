package history

import (
	"context"
	"fmt"
	"slices"

	"daemoneye/roles/api"
	"daemoneye/rules"
	"daemoneye/rules/sql"
)

// Backtest answers a request to run a rule over the history: the answer's
// column and its cell, a rules.Backtest as JSON, and what of the rows that it
// saw was lost, as lost tells it of a table and a time in µs; nil: nothing.
func (x *Explainer) Backtest(ctx context.Context, r *api.QueryRequest, lost func(ctx context.Context, table string, from, to int64) ([]string, error)) (column api.QueryColumn, cells [][]byte, incomplete []string, err error) {
	limits := sql.Config{Limits: x.Limits, Lists: x.Lists}
	rule, err := rules.Parse("rule", []byte(r.SQL), limits)
	if err != nil {
		return column, nil, nil, err
	}
	var set *rules.Set
	if x.Rules != nil && !r.Backtest.NoExceptions {
		set = x.Rules()
	}
	excepted := func(r *rules.Rule) (*rules.Rule, []string) {
		if set == nil {
			return r, nil
		}
		return set.Excepted(r, x.Options.Now, limits)
	}
	rule, unfit := excepted(rule)
	cfg := rules.BacktestConfig{From: r.Backtest.From, To: r.Backtest.To, Step: r.Backtest.Step, Matcher: x.Matcher}
	var b *rules.Backtest
	if r.Backtest.Against == "" {
		b, err = rule.Backtest(ctx, x.Source, cfg)
	} else {
		var old *rules.Rule
		if old, err = rules.Parse("old rule", []byte(r.Backtest.Against), limits); err != nil {
			return column, nil, nil, err
		}
		old, oldUnfit := excepted(old)
		if b, err = rule.BacktestAgainst(ctx, x.Source, cfg, old); err == nil {
			b.Against.Old.Unfit = oldUnfit
		}
	}
	if err != nil {
		return column, nil, nil, err
	}
	b.Unfit = unfit
	if lost != nil {
		from, to := cfg.Bounds()
		for _, table := range rule.Tables {
			reasons, err := lost(ctx, table, from, to)
			if err != nil {
				return column, nil, nil, fmt.Errorf("what was lost of %s is not known: %w", table, err)
			}
			incomplete = append(incomplete, slices.DeleteFunc(reasons, func(s string) bool { return slices.Contains(incomplete, s) })...)
		}
	}
	cells, err = jsonCell(b)
	return api.QueryColumn{Name: api.BacktestColumn, Type: "json"}, cells, incomplete, err
}
