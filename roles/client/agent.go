package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/history"
	"daemoneye/rules"
	"daemoneye/rules/sql"
	"daemoneye/store"
)

// agentEngine asks the agent.
type agentEngine struct {
	conn *bus.Conn
}

func (e *agentEngine) close() error { return e.conn.Close() }

func (e *agentEngine) query(ctx context.Context, r api.QueryRequest, header func([]api.QueryColumn) error, rows func([][]byte) error) (api.QueryDone, error) {
	var done api.QueryDone
	body, err := msgpack.Marshal(&r)
	if err != nil {
		return done, fmt.Errorf("encode query: %w", err)
	}
	// The request is canceled by this context's end.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	replies, err := e.conn.Request(ctx, api.Query, body)
	if err != nil {
		return done, agentError(err)
	}
	defer replies.Close()
	reply, err := replies.Next(ctx)
	if err != nil {
		return done, agentError(err)
	}
	var head api.QueryHeader
	if err := msgpack.Unmarshal(reply, &head); err != nil {
		return done, fmt.Errorf("read the result's header: %w", err)
	}
	if r.Explain != "" && (len(head.Columns) != 1 || head.Columns[0].Name != api.PlanColumn) {
		return done, &Error{Err: errors.New("the agent can not explain"), Hint: "it is of another version: compare daemoneye version and daemoneye health"}
	}
	if err := header(head.Columns); err != nil {
		return done, err
	}
	return readRows(ctx, replies, len(head.Columns), rows)
}

// readRows reads the replies after the header. The last one is the QueryDone,
// which is known only when the end follows, so one is held back.
func readRows(ctx context.Context, replies *bus.Replies, columns int, rows func([][]byte) error) (done api.QueryDone, err error) {
	var held []byte
	for {
		reply, err := replies.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return done, agentError(err)
		}
		if held != nil {
			var part api.QueryRows
			if err := msgpack.Unmarshal(held, &part); err != nil {
				return done, fmt.Errorf("read rows: %w", err)
			}
			if columns == 0 || len(part.Cells)%columns != 0 {
				return done, fmt.Errorf("read rows: %d cells for %d columns", len(part.Cells), columns)
			}
			if err := rows(part.Cells); err != nil {
				return done, err
			}
		}
		held = reply
	}
	if held == nil {
		return done, errors.New("read rows: the agent did not say how the query ended")
	}
	if err := msgpack.Unmarshal(held, &done); err != nil {
		return done, fmt.Errorf("read the end of the result: %w", err)
	}
	return done, nil
}

// agentError turns an error of the bus into one for people.
func agentError(err error) error {
	var refused *bus.Error
	if !errors.As(err, &refused) {
		if errors.Is(err, bus.ErrLost) {
			return &Error{Err: fmt.Errorf("the agent went away: %w", socketReason(err)), Hint: `ask again in a moment; "daemoneye run" restarts it`}
		}
		return err
	}
	var q api.QueryError
	for _, text := range [][]byte{refused.Detail, []byte(refused.Message)} {
		if len(text) > 0 && msgpack.Unmarshal(text, &q) == nil && q.Message != "" {
			return &Error{Err: errors.New(q.Message), Caret: q.Caret}
		}
	}
	switch refused.Code {
	case bus.CodeDenied, bus.CodeNotServed:
		return &Error{Err: err, Hint: "the agent may be of another version: compare daemoneye version and daemoneye health"}
	}
	return err
}

// dial connects to the agent and returns its socket's name. The error is a
// noAgentError when none is there. An ordinary user who runs no agent gets
// root's, if that is open to them.
func (c *call) dial(cfg *config.Config) (*bus.Conn, string, error) {
	own, system := cfg.Paths.Socket, cfg.Paths.System
	conn, err := bus.Dial(c.ctx, own, bus.DialConfig{})
	if err == nil {
		return conn, own, nil
	}
	err = dialError(own, err)
	var none *noAgentError
	if !errors.As(err, &none) {
		return nil, own, err
	}
	none.named = c.socket() != ""
	if system == "" {
		return nil, own, none
	}
	switch conn, err := bus.Dial(c.ctx, system, bus.DialConfig{}); {
	case err == nil:
		c.note("no agent of yours runs; asking root's at %s", system)
		return conn, system, nil
	case c.ctx.Err() != nil:
		return nil, own, err
	default:
		none.other = closedTo(system, err)
	}
	return nil, own, none
}

// closedTo says why root's instance, at the socket, does not serve this user;
// "" when there is none.
func closedTo(socket string, err error) string {
	var refused *bus.Error
	switch {
	case errors.As(dialError(socket, err), new(*noAgentError)):
		return ""
	case errors.Is(err, os.ErrPermission), errors.As(err, &refused) && refused.Code == bus.CodeRefused:
		return fmt.Sprintf("root's instance at %s is there, but serves only root, its user and members of its group%s", socket, groupOf(filepath.Dir(socket)))
	}
	return fmt.Sprintf("root's instance at %s: %v", socket, socketReason(err))
}

// noAgentError says that nobody listens on the socket.
type noAgentError struct {
	socket string
	named  bool   // by --socket
	other  string // a sentence on another instance that does not serve this user, or ""
}

func (e *noAgentError) Error() string {
	text := "no agent answers at " + e.socket
	if e.other != "" {
		text += "; " + e.other
	}
	return text
}

// HintText says what can be done about it.
func (e *noAgentError) HintText() string {
	switch {
	case e.named:
		return "another socket is named with --socket, an instance with --data-dir"
	case e.other != "":
		return `become a member of that group, run this as root, or start an instance of your own with "daemoneye run"`
	}
	return `start it with "daemoneye run", or name the instance with --data-dir or its socket with --socket`
}

// dialError turns an error of bus.Dial into one for people, a noAgentError
// when nobody listens on the socket.
func dialError(socket string, err error) error {
	var refused *bus.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, bus.ErrNotSupported):
		return &noAgentError{socket: socket}
	case errors.Is(err, os.ErrPermission):
		return &Error{
			Err:  fmt.Errorf("cannot reach the agent at %s: %w", socket, socketReason(err)),
			Hint: "run this as root, as the agent's user or as a member of its group; another instance is named with --data-dir or --socket",
		}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.EAGAIN):
		return silent(socket)
	case errors.As(err, &refused) && refused.Code == bus.CodeLimit:
		return &Error{
			Err:  fmt.Errorf("the agent at %s has too many clients: %w", socket, refused),
			Hint: "try again when others have ended",
		}
	case errors.As(err, &refused):
		return &Error{
			Err:  fmt.Errorf("the agent at %s refused the connection: %w", socket, refused),
			Hint: "run this as root, as the agent's user or as a member of its group",
		}
	}
	return &Error{
		Err:  fmt.Errorf("cannot reach the agent at %s: %w", socket, socketReason(err)),
		Hint: "it may be starting or stopping: ask again in a moment; another instance is named with --data-dir or --socket",
	}
}

// silent is the error for an agent that is there and says nothing.
func silent(socket string) error {
	return &Error{
		Err:  fmt.Errorf("the agent at %s does not answer", socket),
		Hint: "it may be stopped or busy: ask again in a moment, or look at its process",
	}
}

// socketReason is what the system said, without the socket's addresses: those
// are the names under which it was bound, not the one that people know.
func socketReason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// patience is how long the answer to a short request is waited for.
const patience = time.Minute

// ask makes a request that is answered at once, or by a reload of the rules, with
// a T.
func ask[T any](ctx context.Context, conn *bus.Conn, socket, name string, body []byte) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reply, err := conn.Call(ctx, name, body)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, silent(socket)
	}
	if err != nil {
		return nil, agentError(err)
	}
	answer := new(T)
	if err := msgpack.Unmarshal(reply, answer); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return answer, nil
}

// askAgent is ask of the agent, which must run.
func askAgent[T any](c *call, name string, body []byte) (*T, error) {
	conn, socket, err := c.agent()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return ask[T](c.ctx, conn, socket, name, body)
}

// agent connects to the agent, which must run, and returns its socket's name.
func (c *call) agent() (conn *bus.Conn, socket string, err error) {
	cfg, err := c.config()
	if err != nil {
		return nil, "", err
	}
	return c.dial(cfg)
}

// engine returns the agent, or the store at rest when no agent runs.
func (c *call) engine() (engine, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	conn, _, err := c.dial(cfg)
	if err == nil {
		return &agentEngine{conn}, nil
	}
	var none *noAgentError
	if !errors.As(err, &none) || none.named {
		return nil, err
	}
	e, err := storeEngine(cfg)
	if err == nil {
		c.warn("the agent is not running; reading the store at %s", cfg.Paths.Store)
		return e, nil
	}
	switch {
	case errors.Is(err, store.ErrNotExist):
		return nil, &Error{Err: fmt.Errorf("%w, and there is no store at %s", none, cfg.Paths.Store), Hint: none.HintText()}
	case errors.Is(err, store.ErrLocked):
		return nil, &Error{Err: fmt.Errorf("%w, but its store is in use", none), Hint: "it may be starting or stopping: ask again in a moment"}
	case errors.Is(err, os.ErrPermission):
		return nil, &Error{Err: fmt.Errorf("%w: %w", none, err), Hint: "run this as root or as the agent's user; " + none.HintText()}
	}
	return nil, err
}

// storeEngine reads the store of an instance at rest. Its rules are those that
// an agent would load.
func storeEngine(cfg *config.Config) (*localEngine, error) {
	s, err := store.OpenReadOnly(cfg.Paths.Store, store.Config{})
	if err != nil {
		return nil, err
	}
	var unknown error // of the rules
	load := func() (set *rules.Set) {
		set, _, unknown = instanceRules(cfg)
		return set
	}
	view := &history.View{Store: s, Ledger: cfg.Paths.Ledger, Rules: func() *event.Batch { return ruleRows(load()) }}
	reader := view.Reader()
	return &localEngine{
		source: reader, rules: load,
		limits: history.Limits(cfg), lists: sqlConfig(cfg).Lists, resources: history.Resources(cfg, os.TempDir()), matcher: history.MatcherConfig(cfg, history.Resources(cfg, os.TempDir())),
		limit: cfg.Agent.QueryTimeout,
		incomplete: func(ctx context.Context, q *sql.Query, now time.Time) []string {
			reasons := reader.Damaged()
			if unknown != nil {
				reasons = append(reasons, unknown.Error())
			}
			lost, err := view.Incomplete(ctx, q, now)
			if err != nil {
				lost = append(lost, err.Error())
			}
			return append(reasons, lost...)
		},
		lost:    view.Gaps,
		release: s.Close,
	}, nil
}

// sqlConfig is what the configuration says of rules' statements, and the lists
// of the directories that it names.
func sqlConfig(cfg *config.Config) sql.Config {
	return sql.Config{Limits: history.Limits(cfg), Lists: rules.LoadLists(time.Now(), ruleDirs(cfg)...)}
}

// ruleDirs are the directories of rules that the configuration names.
func ruleDirs(cfg *config.Config) (sources []rules.Source) {
	for _, dir := range cfg.Paths.RulesDirs {
		source := rules.Dir(dir)
		source.Optional = cfg.Paths.RulesDefault
		sources = append(sources, source)
	}
	return sources
}

// ruleRows returns the set as rows of the rules table.
func ruleRows(set *rules.Set) *event.Batch {
	b := event.NewBuilder(event.Lookup("rules"))
	set.AppendTo(b, nil)
	return b.Batch()
}
