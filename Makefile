# Thin: what the goals do is in toolchain/ (see docs/toolchain.md) and probe/.
SHELL := /bin/sh
TOOLCHAIN := toolchain/bootstrap.sh
SKIP = $(if $(filter-out 0 no false,$(NO_SKIP)),--no-skip)

.DEFAULT_GOAL := help
.PHONY: help setup build push compare bench test unit lint doctor clean clean-cache

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: ## what is missing of tools, packages, venv, plugins, daemons
	@$(TOOLCHAIN) setup

build: ## setup, and the images and the guest disks (MODELS=docker,vm builds no Kubernetes)
	@$(TOOLCHAIN) build $(if $(MODELS),--models $(MODELS))

push: build ## the shop's images to REGISTRY=host[:port], for a cluster that exists
	@$(TOOLCHAIN) push $(REGISTRY)

compare: build ## deploy each model several times, measure, report; MODELS= SHAPES= REPS= QUICK=1 STATES= narrow it, RESUME= goes on, BASELINE= says what changed, REPORT_LANGUAGE=es
	@. .triptych/env && exec python -m probe compare \
	  $(if $(MODELS),--models $(MODELS)) $(if $(SHAPES),--shapes $(SHAPES)) $(if $(REPS),--reps $(REPS)) \
	  $(if $(STATES),--states $(STATES)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(EXPERIMENTS),--experiments $(EXPERIMENTS)) $(if $(RESUME),--resume $(RESUME)) \
	  $(if $(BASELINE),--baseline $(BASELINE)) $(if $(REPORT_LANGUAGE),--lang $(REPORT_LANGUAGE)) \
	  $(if $(filter-out 0 no false,$(QUICK)),--quick)

bench: ## our speed and size beside docker compose's and virsh's
	@$(TOOLCHAIN) bench-tools
	@. .triptych/env && exec python -m bench

test: ## build, every linter, every test (SUITES=docker,plugins narrows it, PYTEST= adds arguments, NO_SKIP=1 skips nothing)
	@$(TOOLCHAIN) test $(SKIP) $(if $(SUITES),--suites "$(SUITES)") -- $(PYTEST)

unit: ## the unit tests: no daemon, nothing built but the venv (PYTEST= adds arguments)
	@$(TOOLCHAIN) unit $(PYTEST)

lint: ## ruff, mypy, shellcheck, hadolint, and the check stage of each service (NO_SKIP=1 as for test)
	@$(TOOLCHAIN) lint $(SKIP)

doctor: ## what this machine has, what is missing, which accelerator a VM gets
	@$(TOOLCHAIN) doctor

clean: ## remove what carries our label (containers, VMs, ...) and .triptych
	@$(TOOLCHAIN) clean

clean-cache: ## remove the per-user cache of tools, images and disks
	@$(TOOLCHAIN) clean-cache
