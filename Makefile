# The doors of the house; what is behind them lives in tests/.
.PHONY: demo viewer test prove bench

VIEWER := target/viewer/ohif.tar

demo: $(VIEWER)
	cargo run --release --bin demo

viewer: $(VIEWER)

$(VIEWER): $(wildcard gateway/viewer/*.mjs) gateway/viewer/pin.json
	node gateway/viewer/package.mjs $(VIEWER)

test:
	tests/run test

prove:
	tests/run prove

bench:
	tests/run bench
