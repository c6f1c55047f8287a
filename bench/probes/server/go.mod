module kai.example/bench/probes

go 1.24
