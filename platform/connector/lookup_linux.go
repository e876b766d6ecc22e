package connector

import (
	"time"

	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
)

const tick = time.Second / procfs.TicksPerSecond

// handle turns a message into an event. What threads do is left out, but for
// the end of the last one.
func (s *Source) handle(m *pending) {
	e := bpf.Event{CPU: uint16(m.CPU), Sequence: uint64(m.Sequence), Time: s.clock.boot(m.Time), PID: m.TGID}
	switch {
	case m.What == Exit && m.PID != m.TGID:
		s.threadExit(&e, &m.Message)
	case m.What == Fork && m.PID != m.TGID:
		if k, ok := s.table.processes[m.TGID]; ok && !k.threads {
			k.threads = true
			s.table.processes[m.TGID] = k
		}
	case m.PID != m.TGID:
	case m.What == Fork:
		s.fork(&e, &m.Message)
	case m.What == Exec:
		s.exec(&e, m)
	case m.What == Exit:
		s.exit(&e, &m.Message)
	case m.What == UID || m.What == GID || m.What == SID || m.What == Comm:
		s.changed(&e, &m.Message)
	}
}

// stat returns the stat line of the process that did something at that time, if
// it is there still, and not another one with its pid.
func (s *Source) stat(pid int32, at time.Duration) (procfs.Stat, bool) {
	stat, err := s.reader.Stat(pid)
	for i := 0; err == nil && stat.Threads == 0 && i < 10; i++ { // it is taken away, or another thread takes its place
		stat, err = s.reader.Stat(pid)
	}
	return stat, err == nil && stat.StartTicks <= procfs.Ticks(at)
}

// fork tells of a new process, which is a copy of its parent. The kernel sends
// this a moment after it has noted the start.
func (s *Source) fork(e *bpf.Event, m *Message) {
	if leader, ok := s.leaders[e.PID]; ok { // its last thread has ended too, then
		delete(s.leaders, e.PID)
		s.ended(&leader.Event)
	}
	e.Kind, e.PPID = bpf.Fork, m.Parent
	p := &procfs.Process{PID: e.PID, PPID: m.Parent, StartTicks: procfs.Ticks(e.Time), LoginUID: procfs.NoUser}
	e.Process, e.Start = p, e.Time
	if stat, ok := s.stat(e.PID, e.Time); ok {
		p.HasStat, p.Accessible = true, true
		p.StartTicks = stat.StartTicks
		p.Name, p.State, p.PGID, p.SID, p.TTY = string(stat.Comm), stat.State, stat.PGID, stat.SID, procfs.TTYName(stat.TTY)
		p.KernelThread, p.Threads = procfs.KernelThread(stat.Flags), stat.Threads
		// The time within the tick is good enough for how long it lives.
		if began := procfs.TicksTime(stat.StartTicks); e.Start >= began+tick {
			e.Start = began + tick - 1
		}
	}
	e.Name = p.Name
	e.ParentStart = s.parentStart(m.Parent, e.Start)
	if !p.HasStat && e.ParentStart == 0 { // else it is as its parent
		s.counts.late.Add(1)
	}
	s.table.put(e.PID, known{start: e.Start, parent: e.PPID, parentStart: e.ParentStart})
	s.put(e)
}

// parentStart returns when the parent of a process that began then has begun;
// 0 when that is not known.
func (s *Source) parentStart(pid int32, child time.Duration) time.Duration {
	k, sure := s.table.get(pid)
	if sure && procfs.Ticks(k.start) <= procfs.Ticks(child) {
		return k.start
	}
	// Whoever has the pid now is the parent if it was there before the child.
	if stat, ok := s.stat(pid, child-tick); ok && !sure {
		return s.table.found(&stat).start
	}
	return 0
}

// readImage reads what a process runs, as soon as the kernel tells that it does:
// others that wait have the time. What was read may be of a later image, of which
// the kernel tells when it is complete, and then before the reading ended.
func (s *Source) readImage(m *pending) {
	if earlier := s.execs[m.TGID]; earlier != nil && earlier.process != nil && m.Time <= earlier.read {
		earlier.process.CopyImage(&procfs.Process{})
		earlier.process.StartStack = 0
	}
	s.execs[m.TGID] = m
	p, err := s.reader.Read(m.TGID)
	if err != nil {
		return
	}
	m.process = p
	stat, err := s.reader.Stat(m.TGID)
	if err == nil && stat.State != 'Z' && stat.State != 'X' && (stat.StartStack != p.StartStack || p.Cmdline == "") {
		p.CopyImage(&procfs.Process{}) // in the middle of another exec
		p.StartStack = 0
	}
	s.keep(p)
	if err := s.clock.adjust(); err == nil {
		m.read = s.clock.monotonic
	}
}

// exec tells of a new image, as far as it could be found.
func (s *Source) exec(e *bpf.Event, m *pending) {
	e.Kind = bpf.Exec
	delete(s.leaders, e.PID) // another thread has taken its place
	if !s.identify(e, m.process) {
		s.unclear(&m.Message)
		return
	}
	if p := e.Process; p.Cmdline == "" || p.Executable == "" && p.Accessible {
		p.Accessible = false
		s.counts.late.Add(1)
	}
	s.put(e)
}

// unclear counts a message about a process that is not known, since others were
// lost, as lost. What was there before Open and has ended does not count.
func (s *Source) unclear(m *Message) {
	if s.table.era > 0 || m.Time > s.opened {
		s.counts.unclear.Add(1)
	}
}

// changed tells of the present state of a process.
func (s *Source) changed(e *bpf.Event, m *Message) {
	e.Kind = bpf.Changed
	p, err := s.reader.Read(e.PID)
	if err != nil || !s.identify(e, p) || e.Process != p {
		s.counts.late.Add(1)
		return
	}
	e.Name = m.Name
	s.put(e)
}

// identify says of which process an event is. p, which may be nil, was read since
// by its pid, and is left out when it is another one's. The result is false when
// nothing was read and what was known of the pid may be of another process.
func (s *Source) identify(e *bpf.Event, p *procfs.Process) bool {
	k, sure := s.table.get(e.PID)
	if p == nil || p.StartTicks > procfs.Ticks(e.Time) || sure && !k.is(p.StartTicks) {
		p = &procfs.Process{PID: e.PID, PPID: k.parent, StartTicks: procfs.Ticks(k.start), LoginUID: procfs.NoUser}
		if !sure {
			return false
		}
	} else {
		if !sure {
			k = s.table.found(&procfs.Stat{PID: p.PID, PPID: p.PPID, StartTicks: p.StartTicks})
		}
		switch {
		case p.Threads == 0: // nobody's child any more
			p.PPID, p.HasStat = k.parent, false
		case k.parent != p.PPID || k.parentStart == 0:
			k.parent, k.parentStart = p.PPID, s.parentStart(p.PPID, k.start)
			s.table.put(e.PID, k)
		}
	}
	e.Process, e.Name = p, p.Name
	e.Start, e.PPID, e.ParentStart = k.start, k.parent, k.parentStart
	return true
}

// exit tells of the end of a process, unless it is that of its first thread only.
func (s *Source) exit(e *bpf.Event, m *Message) {
	e.Kind, e.Status, e.CPUTime = bpf.Exit, m.Status, -1
	k, sure := s.table.get(e.PID)
	stat, there := s.stat(e.PID, e.Time)
	there = there && (!sure || k.is(stat.StartTicks))
	switch {
	case there:
		if !sure {
			k = s.table.found(&stat)
		}
		e.Name, e.CPUTime = string(stat.Comm), procfs.TicksTime(stat.UserTicks+stat.SysTicks)
	case !sure: // nobody knows whose end it was; a scan finds who is missing
		s.unclear(m)
		delete(s.table.processes, e.PID)
		return
	}
	e.Start, e.PPID, e.ParentStart = k.start, k.parent, k.parentStart
	if m.Parent != 0 && m.Parent != k.parent {
		e.PPID, e.ParentStart = m.Parent, s.parentStart(m.Parent, k.start)
	}
	on := there && goesOn(&stat)
	if on || k.threads || there && stat.Threads > 1 {
		s.leaders[e.PID] = leader{*e, !on}
		return
	}
	s.ended(e)
}

// leader is the end of a first thread. The process may go on, or what other
// threads did before may not have been handled.
type leader struct {
	bpf.Event
	over bool // no thread goes on
}

// goesOn reports whether other threads do when the first one has ended.
func goesOn(s *procfs.Stat) bool { return s.State != 'Z' && s.State != 'X' || s.Threads > 1 }

// threadExit tells of the end of a process whose first thread has ended before.
// Each thread is gone when the kernel tells of its end. The status is that of
// the last one, which is all threads' unless each has ended by itself.
func (s *Source) threadExit(e *bpf.Event, m *Message) {
	leader, ok := s.leaders[e.PID]
	if !ok {
		return
	}
	stat, there := s.stat(e.PID, e.Time)
	if there && stat.StartTicks == procfs.Ticks(leader.Start) {
		if goesOn(&stat) {
			return
		}
		leader.CPUTime = procfs.TicksTime(stat.UserTicks + stat.SysTicks)
	}
	delete(s.leaders, e.PID)
	leader.CPU, leader.Sequence, leader.Time, leader.Status = e.CPU, e.Sequence, e.Time, m.Status
	s.ended(&leader.Event)
}

// release tells of the processes that are over, when all messages were handled.
func (s *Source) release() {
	for pid, leader := range s.leaders {
		if leader.over {
			delete(s.leaders, pid)
			s.ended(&leader.Event)
		}
	}
}

func (s *Source) ended(e *bpf.Event) {
	if k, ok := s.table.processes[e.PID]; ok && k.start == e.Start {
		delete(s.table.processes, e.PID)
	}
	s.put(e)
}
