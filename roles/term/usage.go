package term

// UsageError is wrong use of the command line: exit status 2. Without a
// message everything was said already.
type UsageError struct {
	Message string
	Hint    string
}

func (e *UsageError) Error() string { return e.Message }

// HintText says how to use it instead.
func (e *UsageError) HintText() string { return e.Hint }
