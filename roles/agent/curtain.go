package agent

import (
	"fmt"
	"io"
	"sync"
)

// maxHeld bounds what waits behind the curtain, in bytes.
const maxHeld = 256 << 10

// curtain holds back what is written for a person until the opening lines are
// out: they come first. The oldest writes are kept, as many as fit.
type curtain struct {
	w io.Writer

	mu      sync.Mutex
	up      bool
	held    []byte
	dropped int // writes that did not fit
}

// Write takes one alert or one line.
func (c *curtain) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.up:
		return c.w.Write(p)
	case c.dropped > 0 || len(c.held)+len(p) > maxHeld:
		c.dropped++
	default:
		c.held = append(c.held, p...)
	}
	return len(p), nil
}

// rise calls first, which writes the opening lines, then writes what was held
// back. Later writes go through.
func (c *curtain) rise(first func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up = true
	if err := first(); err != nil {
		return err
	}
	if c.dropped > 0 {
		c.held = fmt.Appendf(c.held, "%d more came before the start was complete\n", c.dropped)
	}
	_, err := c.w.Write(c.held)
	c.held = nil
	return err
}
