package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"l4dump/internal/diagnosis"
)

// maxCheckedBytes is the largest file that check reads.
const maxCheckedBytes = 16 << 20

func newCheckCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Find what is wrong with the plugin's configuration, in whatever file it is",
		Long: `check reads files in YAML or JSON and names every fault of l4dump's plugin in them with its path:

  the plugin's configuration itself (JSON)
  Envoy's bootstrap, and the files of dynamic resources that it names
  what Envoy's /config_dump and 'istioctl proxy-config listeners -o json' show
  WasmPlugin, EnvoyFilter and ConfigMap, also in lists and among other objects

Every document of a file is read. What is not l4dump's is named as "not ours", and not judged; a bootstrap
is judged as a whole, as Envoy would. "-" is standard input.

A note is something to know, not a fault: what only the embedded engine lacks, a setting that a crash
of the plugin would make expensive, or what masks do not see.

Exit codes: 0 no fault, 1 faults found or a file cannot be read, 2 wrong usage.`,
		Example: `  l4dump check envoy.yaml
  l4dump check --json plugin.json
  kubectl get wasmplugin,envoyfilter,configmap -o yaml | l4dump check -
  helm template ./chart | l4dump check -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("want a FILE, or \"-\" for standard input")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, files []string) error {
			reports := make([]diagnosis.Report, 0, len(files))
			faults := 0
			for _, file := range files {
				text, err := readFile(cmd.InOrStdin(), file)
				if err != nil {
					return err
				}
				report := diagnosis.File(file, text, readNamed)
				reports = append(reports, report)
				faults += len(report.Faults)
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				if err := encoder.Encode(reports); err != nil {
					return fmt.Errorf("write the report: %w", err)
				}
			} else {
				printReports(cmd.OutOrStdout(), reports)
			}
			if faults > 0 {
				return errFound
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

// readNamed reads a file that a configuration refers to.
func readNamed(file string) ([]byte, error) { return readFile(nil, file) }

func readFile(stdin io.Reader, file string) ([]byte, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // nothing was written to it
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxCheckedBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(text) > maxCheckedBytes {
		return nil, fmt.Errorf("read %s: want at most %d bytes", file, maxCheckedBytes)
	}
	return text, nil
}

func printReports(w io.Writer, reports []diagnosis.Report) {
	for _, report := range reports {
		for _, fault := range report.Faults {
			fmt.Fprintf(w, "%s: %s\n", report.File, fault)
		}
		for _, note := range report.Notes {
			fmt.Fprintf(w, "%s: note: %s\n", report.File, note)
		}
		if len(report.Faults) == 0 {
			fmt.Fprintf(w, "%s: no fault in this %s\n", report.File, report.Kind)
		}
	}
}
