package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"

	"l4dump/internal/fault"
	"l4dump/internal/proxy"
	"l4dump/strategy"
)

// envoyKind is a file that proxy.Parse reads as a whole.
const envoyKind = "Envoy configuration"

// maxCheckedBytes is the largest file that check reads.
const maxCheckedBytes = 16 << 20

// finding is one line of check's report.
type finding struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// checkReport is what check found in a file. Faults keep the plugin or the proxy from doing what the file says; notes
// do not.
type checkReport struct {
	File   string    `json:"file"`
	Kind   string    `json:"kind"` // "plugin configuration", "Envoy configuration", "extension configuration" or "manifest"
	Faults []finding `json:"faults"`
	Notes  []finding `json:"notes"`

	asked []finding // the clusters that plugins ask for their sidecar, by path
}

func newCheckCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Find what is wrong with a plugin configuration or an envoy.yaml",
		Long: `check reads plugin configurations (JSON), Envoy configurations and files of extension configurations
(YAML or JSON), and names every fault with its path. "-" is standard input.

A note is something to know, not a fault: what only the embedded engine lacks, or a setting that a crash
of the plugin would make expensive.

Exit codes: 0 no fault, 1 faults found or a file cannot be read, 2 wrong usage.`,
		Example: `  l4dump check envoy.yaml
  l4dump check --json plugin.json
  kubectl get envoyfilter l4dump -o yaml | l4dump check -`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			reports := make([]checkReport, 0, len(files))
			faults := 0
			for _, file := range files {
				text, err := readFile(cmd.InOrStdin(), file)
				if err != nil {
					return err
				}
				report := check(file, text)
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

func printReports(w io.Writer, reports []checkReport) {
	for _, report := range reports {
		for _, fault := range report.Faults {
			fmt.Fprintf(w, "%s: %s\n", report.File, line(fault))
		}
		for _, note := range report.Notes {
			fmt.Fprintf(w, "%s: note: %s\n", report.File, line(note))
		}
		if len(report.Faults) == 0 {
			fmt.Fprintf(w, "%s: no fault in this %s\n", report.File, report.Kind)
		}
	}
}

func line(f finding) string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}

// check looks at one file, whose kind its top-level keys tell.
func check(file string, text []byte) checkReport {
	r := checkReport{File: file, Faults: []finding{}, Notes: []finding{}}
	var content any
	err := yaml.UnmarshalStrict(text, &content)
	document, _ := content.(map[string]any)
	if start := bytes.TrimSpace(text); err != nil && len(start) > 0 && start[0] != '{' {
		r.Kind = "configuration"
		r.fault("", "want YAML or JSON: "+strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "))
		return r
	}
	_, extensions := document["resources"]
	_, manifest := document["apiVersion"]
	switch {
	case err == nil && (extensions || manifest):
		r.Kind = "extension configuration"
		if manifest {
			r.Kind = "manifest"
		}
		r.plugins(document)
	case err == nil && isBootstrap(document):
		r.Kind = envoyKind
		r.bootstrap(text)
		r.plugins(document)
		r.clusters(document)
	default:
		r.Kind = "plugin configuration"
		r.plugin("", text)
	}
	return r
}

// isBootstrap reports whether a document has a key that only an Envoy configuration has.
func isBootstrap(document map[string]any) bool {
	for _, key := range []string{"static_resources", "dynamic_resources", "admin", "node", "staticResources", "dynamicResources"} {
		if _, ok := document[key]; ok {
			return true
		}
	}
	return false
}

func (r *checkReport) fault(path, message string) {
	r.Faults = append(r.Faults, finding{path, message})
}

// bootstrap reports what proxy.Parse refuses. What only the embedded engine lacks is a note: Envoy runs it.
func (r *checkReport) bootstrap(text []byte) {
	_, err := proxy.Parse(r.File, text)
	for _, fault := range proxy.FaultsOf(err) {
		if fault.OnlyHere() {
			r.Notes = append(r.Notes, finding{fault.Path, fault.Message})
			continue
		}
		r.fault(fault.Path, fault.Message)
	}
	if err != nil && proxy.FaultsOf(err) == nil {
		r.fault("", err.Error())
	}
}

// plugin reports the faults of a plugin's configuration, which stands at path of the file.
func (r *checkReport) plugin(path string, text []byte) {
	config, err := strategy.Parse(text)
	if err == nil && config.Strategy.Switch == strategy.SwitchOff {
		r.Notes = append(r.Notes, finding{joinPath(path, "strategy.switch"), "is OFF: nothing is recorded unless a global strategy is ON"})
	}
	if err == nil && config.Guard == strategy.GuardSidecar {
		r.asked = append(r.asked, finding{joinPath(path, "sidecar.cluster"), config.Sidecar.Cluster})
	}
	var faults fault.Faults
	if err != nil && !errors.As(err, &faults) {
		faults = fault.Faults{{Message: err.Error()}}
	}
	for _, fault := range faults {
		at := fault.Path
		if path != "" {
			at = strings.TrimSuffix(path+": "+fault.Path, ": ")
		}
		r.fault(at, fault.Message)
	}
}

// plugins reports on every configuration of this plugin in a document, wherever it stands.
func (r *checkReport) plugins(document map[string]any) {
	found := 0
	walk("", document, func(path string, object map[string]any) {
		switch {
		case isType(object, wasmType):
			config, _ := object["config"].(map[string]any)
			found++
			if r.Kind != envoyKind { // an Envoy configuration has been read as a whole
				r.message(path, object)
			}
			r.wasm(path+".config", config)
		case object["filters"] != nil:
			r.neighbors(joinPath(path, "filters"), object["filters"])
		case object["pluginConfig"] != nil:
			found++
			text, err := json.Marshal(object["pluginConfig"])
			if err != nil {
				r.fault(path+".pluginConfig", err.Error())
				return
			}
			r.plugin(joinPath(path, "pluginConfig"), text)
		}
	})
	if found == 0 {
		r.fault("", "want a network wasm filter, found none")
	}
}

// protoPosition begins protojson's errors; the position is of text that nobody has seen.
var protoPosition = regexp.MustCompile(`^proto:[ \x{a0}](\(line [0-9:]+\): )?`)

// message reports what is wrong with a Wasm message outside of an Envoy configuration.
func (r *checkReport) message(path string, object map[string]any) {
	text, err := json.Marshal(object)
	if err == nil {
		err = protojson.Unmarshal(text, new(anypb.Any))
	}
	if err != nil {
		r.fault(path, protoPosition.ReplaceAllString(err.Error(), ""))
	}
}

// clusters reports plugins whose sidecar is behind a cluster that the configuration does not have.
func (r *checkReport) clusters(document map[string]any) {
	static, _ := document["static_resources"].(map[string]any)
	list, _ := static["clusters"].([]any)
	if document["dynamic_resources"] != nil {
		return // it may come from there
	}
	for _, asked := range r.asked {
		if !slices.ContainsFunc(list, func(c any) bool {
			cluster, _ := c.(map[string]any)
			return cluster["name"] == asked.Message
		}) {
			r.fault(asked.Path, fmt.Sprintf("want one of static_resources.clusters, got %q: without its sidecar the plugin records nothing", asked.Message))
		}
	}
}

// The messages that check knows, by the end of their "@type".
const (
	wasmType     = "/envoy.extensions.filters.network.wasm.v3.Wasm"
	tcpProxyType = "/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
)

func isType(object map[string]any, name string) bool {
	typeURL, _ := object["@type"].(string)
	return strings.HasSuffix(typeURL, name)
}

// neighbors notes where a filter behind the plugin may leave bytes in the proxy's buffer, which the proxy then hands to
// the plugin again.
func (r *checkReport) neighbors(path string, value any) {
	filters, _ := value.([]any)
	config := func(i int) map[string]any {
		filter, _ := filters[i].(map[string]any)
		config, _ := filter["typed_config"].(map[string]any)
		return config
	}
	for i := range len(filters) - 1 {
		if next := config(i + 1); isType(config(i), wasmType) && !isType(next, wasmType) && !isType(next, tcpProxyType) {
			r.Notes = append(r.Notes, finding{
				fmt.Sprintf("%s[%d]", path, i+1),
				"is behind the plugin and no tcp_proxy: bytes that it leaves for later, as an HTTP connection manager does " +
					"with pipelined requests, stand in the dump again",
			})
		}
	}
}

// wasm reports on one PluginConfig message.
func (r *checkReport) wasm(path string, config map[string]any) {
	if open, _ := config["fail_open"].(bool); !open {
		r.Notes = append(r.Notes, finding{
			path + ".fail_open",
			"is not true: a crash of the plugin would close live connections",
		})
	}
	configuration, _ := config["configuration"].(map[string]any)
	switch typeURL, _ := configuration["@type"].(string); typeURL {
	case "":
		if config["configuration"] != nil {
			r.fault(path+".configuration", `want "@type": type.googleapis.com/google.protobuf.StringValue and a value`)
			return
		}
		r.plugin(path+".configuration", nil)
	case "type.googleapis.com/google.protobuf.StringValue":
		value, ok := configuration["value"].(string)
		if !ok {
			r.fault(path+".configuration.value", "want a string that holds JSON")
			return
		}
		r.plugin(path+".configuration.value", []byte(value))
	default:
		at := path + ".configuration"
		if slices.ContainsFunc(r.Faults, func(f finding) bool { return f.Path == at }) {
			return // proxy.Parse has said so
		}
		r.fault(at, "want a google.protobuf.StringValue that holds JSON, got "+typeURL+": the plugin would be given other bytes")
	}
}

// walk calls visit for each object in a document, in the order of the paths.
func walk(path string, value any, visit func(path string, object map[string]any)) {
	switch value := value.(type) {
	case map[string]any:
		visit(path, value)
		for _, key := range slices.Sorted(maps.Keys(value)) {
			walk(joinPath(path, key), value[key], visit)
		}
	case []any:
		for i, element := range value {
			walk(fmt.Sprintf("%s[%d]", path, i), element, visit)
		}
	}
}

func joinPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
