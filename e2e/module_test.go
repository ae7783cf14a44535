package e2e

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"l4dump/internal/guest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// maxModuleBytes bounds the module: Envoy optimizes all of it at start, in each pod.
const maxModuleBytes = 2_500_000

// requireGolden compares lines with a golden file.
func requireGolden(t *testing.T, name string, lines []string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(got), 0o600))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "go test ./e2e -run %s -update writes the file anew", t.Name())
}

// TestModule holds the module to what proxies offer and expect: an import that a proxy lacks fails the load, and an
// export that is missing is never called.
func TestModule(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile(module(t))
	require.NoError(t, err)
	require.LessOrEqual(t, len(code), maxModuleBytes)

	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer runtime.Close(ctx)
	compiled, err := runtime.CompileModule(ctx, code)
	require.NoError(t, err)
	var lines []string
	for _, f := range compiled.ImportedFunctions() {
		from, name, _ := f.Import()
		lines = append(lines, "import "+from+"."+name+signature(f))
	}
	for name, f := range compiled.ExportedFunctions() {
		lines = append(lines, "export "+name+signature(f))
	}
	for name := range compiled.ExportedMemories() {
		lines = append(lines, "export memory "+name)
	}
	slices.Sort(lines)
	requireGolden(t, "module.txt", lines)
}

func signature(f api.FunctionDefinition) string {
	names := func(types []api.ValueType) string {
		var list []string
		for _, each := range types {
			list = append(list, api.ValueTypeName(each))
		}
		return "(" + strings.Join(list, ", ") + ")"
	}
	return names(f.ParamTypes()) + " " + names(f.ResultTypes())
}

// TestDependencies holds the list of packages that are linked into the module. Each costs every pod memory and start-up
// time, and what waits for files or timers aborts in Envoy before 1.39.
func TestDependencies(t *testing.T) {
	t.Parallel()
	list := exec.Command("go", "list", "-deps", "../filter/wasm")
	list.Env = guest.Env()
	list.Stderr = os.Stderr
	text, err := list.Output()
	require.NoError(t, err)
	packages := strings.Fields(string(text))
	require.Contains(t, packages, "l4dump/filter")
	for _, unwanted := range []string{"os", "fmt", "reflect", "time", "internal/poll", "encoding/json", "encoding/binary", "encoding/hex"} {
		require.NotContains(t, packages, unwanted)
	}
	// Which packages the standard library is made of inside changes with Go's releases.
	packages = slices.DeleteFunc(packages, func(name string) bool {
		return strings.HasPrefix(name, "internal/") || strings.HasPrefix(name, "runtime/")
	})
	slices.Sort(packages)
	requireGolden(t, "dependencies.txt", packages)
}
