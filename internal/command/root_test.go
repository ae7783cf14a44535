package command

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// commandVariable makes the test binary run the command, for what a process as a whole does.
const commandVariable = "L4DUMP_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		os.Exit(Run(os.Stdin, os.Stdout, os.Stderr, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// A command whose input or output blocks ends with the second interrupt at the latest.
func TestSecondInterruptEndsTheProcess(t *testing.T) {
	command := exec.CommandContext(t.Context(), os.Args[0], "decode", "-")
	command.Env = append(os.Environ(), commandVariable+"=1")
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	_, err = io.WriteString(stdin, dumpLines()[0])
	require.NoError(t, err)
	_, err = io.ReadFull(stdout, make([]byte, 1)) // it runs, and waits for more
	require.NoError(t, err)

	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	deadline := time.After(20 * time.Second)
	for {
		_ = command.Process.Signal(syscall.SIGINT) // again, since a signal that is pending already counts once
		select {
		case err := <-ended:
			require.Error(t, err)
			return
		case <-deadline:
			_ = command.Process.Kill()
			require.Fail(t, "it continues")
		case <-time.After(50 * time.Millisecond):
		}
	}
}
