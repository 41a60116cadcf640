# Each target is one short script of scripts/; all do their own set-up.
.PHONY: setup demo check test test-native test-nightly bench
setup: ; @sh scripts/setup
demo:  ; @sh scripts/demo
check: ; @sh scripts/check
test:  ; @sh scripts/test
test-native: ; @sh scripts/test-native
test-nightly: ; @sh scripts/test-nightly
bench: ; @sh scripts/bench
