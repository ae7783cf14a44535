// Shop is a small service in two versions, of which the second has a fault, and its client: what `make demo` records and
// plays again.
//
//	shop serve 127.0.0.1:18081 v1
//	shop load http://127.0.0.1:18080 200
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "serve":
		err = serve(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && os.Args[1] == "load":
		err = load(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("usage: shop serve ADDRESS v1|v2, or shop load URL CONNECTIONS")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// order is what the service says of an order. Trace and At differ with each answer.
type order struct {
	ID    int     `json:"id"`
	Items int     `json:"items"`
	Total float64 `json:"total"`
	Trace string  `json:"trace"`
	At    string  `json:"at"`
}

func serve(address, version string) error {
	server := &http.Server{Addr: address, Handler: handler(version), ReadHeaderTimeout: time.Second}
	return server.ListenAndServe()
}

// handler answers GET /orders/ID. Version v2 forgets the price of the third item.
func handler(version string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			http.Error(w, "no such order", http.StatusNotFound)
			return
		}
		items := 1 + id%5
		priced := items
		if version == "v2" && items > 2 {
			priced--
		}
		var trace [8]byte
		_, _ = rand.Read(trace[:])
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(order{id, items, 9.5 * float64(priced), hex.EncodeToString(trace[:]), time.Now().UTC().Format(time.RFC3339)})
	})
	return mux
}

// load opens connections one after another and asks for some orders on each.
func load(url, connections string) error {
	n, err := strconv.Atoi(connections)
	if err != nil {
		return err
	}
	for i := range n {
		transport := &http.Transport{}
		client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
		for k := range 5 {
			path := strings.TrimSuffix(url, "/") + "/orders/" + strconv.Itoa(i*5+k)
			if k == 4 {
				path += "x"
			}
			request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, path, nil) //nolint:gosec // the service that the user names
			if err != nil {
				return err
			}
			response, err := client.Do(request) //nolint:gosec // as above
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if err != nil {
				return err
			}
		}
		transport.CloseIdleConnections()
	}
	return nil
}
