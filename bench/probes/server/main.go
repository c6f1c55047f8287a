// Answers HTTP in the ways that a probe can meet, plain, over TLS with HTTP/2, and over TLS 1.2 without it.
// Prints the ports of: plain, good, expired, self, TLS 1.2.
package main

import (
	"compress/flate"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

type handler = func(http.ResponseWriter, *http.Request)

func text(status int, body string, headers ...string) handler {
	return func(w http.ResponseWriter, r *http.Request) {
		for at := 0; at < len(headers); at += 2 {
			w.Header().Add(headers[at], headers[at+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func to(path string, status int) handler {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, path, status) }
}

func main() {
	folder := os.Args[1]
	var listeners []net.Listener
	for range 5 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		listeners = append(listeners, listener)
		fmt.Print(listener.Addr().(*net.TCPAddr).Port, " ")
	}
	fmt.Println()
	port := func(at int) int { return listeners[at].Addr().(*net.TCPAddr).Port }
	words := strings.Repeat("hello ", 100)
	for path, answer := range map[string]handler{
		"/ok": text(200, "hello world"), "/empty": text(200, ""), "/204": text(204, ""),
		"/304": text(304, ""), "/404": text(404, "no"), "/500": text(500, ""),
		"/modified":  text(200, "x", "Last-Modified", "Tue, 15 Nov 1994 12:45:26 GMT"),
		"/yesterday": text(200, "x", "Last-Modified", "yesterday"),
		"/headers":   text(200, "x", "X-Many", "one", "X-Many", "two"),
		"/big":       text(200, strings.Repeat("b", 5000)),
		"/redirect":  to("/ok", 302), "/redirect2": to("/redirect", 307), "/redirect3": to("/redirect2", 301),
		"/loop": to("/loop", 302), "/nowhere": text(302, ""),
		"/ftp": text(302, "", "Location", "ftp://x/"), "/bad": text(302, "", "Location", "http://[::1"),
		"/to-tls":   to(fmt.Sprintf("https://localhost:%d/ok", port(1)), 302),
		"/to-plain": to(fmt.Sprintf("http://localhost:%d/ok", port(0)), 302),
		"/slow":     func(http.ResponseWriter, *http.Request) { time.Sleep(3 * time.Second) },
		"/chunks": func(w http.ResponseWriter, r *http.Request) {
			for range 3 {
				fmt.Fprint(w, strings.Repeat("a", 100))
				w.(http.Flusher).Flush()
			}
		},
		"/gzip": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			packed := gzip.NewWriter(w)
			fmt.Fprint(packed, words)
			packed.Close()
		},
		"/deflate": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "deflate")
			packed, _ := flate.NewWriter(w, 6)
			fmt.Fprint(packed, words)
			packed.Close()
		},
		"/echo": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s|%s|%s|%s|%s", r.Method, r.Host, r.Header.Get("Authorization"), r.Header.Get("X-A"), body)
		},
		"/cookie": func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b", Path: "/"})
			http.Redirect(w, r, "/wants-cookie", 302)
		},
		"/wants-cookie": func(w http.ResponseWriter, r *http.Request) {
			if cookie, err := r.Cookie("a"); err != nil || cookie.Value != "b" {
				w.WriteHeader(400)
			}
		},
	} {
		http.HandleFunc(path, answer)
	}
	quiet := log.New(io.Discard, "", 0)
	for at, name := range []string{"good", "expired", "self"} {
		server := &http.Server{ErrorLog: quiet}
		go server.ServeTLS(listeners[at+1], folder+"/"+name+".pem", folder+"/"+name+".key")
	}
	old := &http.Server{
		ErrorLog: quiet, TLSConfig: &tls.Config{MaxVersion: tls.VersionTLS12},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	go old.ServeTLS(listeners[4], folder+"/good.pem", folder+"/good.key")
	log.Fatal(http.Serve(listeners[0], nil))
}
