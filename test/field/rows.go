package main

import (
	"path/filepath"
	"strings"

	"stateless-servers/app/config"
)

// A row is a configuration of the study.
type row struct {
	file     string           // its scenario file below peers; empty for the sample application of this repository
	store    config.StoreKind // the store of the sample application
	settings string           // "default", or "recommended" by the documentation of the framework or of an extension
	limits
}

// limits bound the exploration of a configuration.
type limits struct {
	orders   int  // schedules of a scenario without a failure
	faults   int  // schedules of a scenario with one; enough for every failure of a single request
	alone    bool // explore failures of single requests only
	parallel int  // runs at a time
}

// rows returns the configurations in the order of the tables. Servers that start slowly or that need seconds to get over a
// failure run fewer schedules.
func rows() []row {
	full, slow := limits{orders: 300, faults: 60, parallel: 4}, limits{orders: 60, faults: 60, alone: true, parallel: 2}
	return []row{
		{file: "express/scenario.yaml", settings: "default", limits: full},
		{file: "express-dynamodb/scenario.yaml", settings: "default", limits: slow},
		{file: "fastify/scenario.yaml", settings: "default", limits: full},
		{file: "django/scenario.yaml", settings: "default", limits: full},
		{file: "django/django-redis.yaml", settings: "default", limits: full},
		{file: "django/database.yaml", settings: "default", limits: slow},
		{file: "flask/scenario.yaml", settings: "default", limits: full},
		{file: "starlette/scenario.yaml", settings: "default", limits: full},
		{file: "php/scenario.yaml", settings: "default", limits: full},
		{file: "php/locking.yaml", settings: "recommended", limits: full},
		{file: "php/recommended.yaml", settings: "recommended", limits: full},
		{file: "php/memcached.yaml", settings: "default", limits: slow},
		{file: "spring/scenario.yaml", settings: "default", limits: slow},
		{file: "spring/immediate.yaml", settings: "recommended", limits: slow},
		{file: "sinatra/scenario.yaml", settings: "default", limits: full},
		{file: "sinatra/dalli.yaml", settings: "default", limits: slow},
		{file: "scs/scenario.yaml", settings: "default", limits: full},
		{file: "gorilla/scenario.yaml", settings: "default", limits: full},
		{store: config.StoreValkey, settings: "default", limits: full},
		{store: config.StoreMemcached, settings: "default", limits: full},
		{store: config.StorePostgres, settings: "default", limits: full},
		{store: config.StoreDynamoDB, settings: "default", limits: slow},
	}
}

// name returns the name of the row's files: php-locking for php/locking.yaml, express for express/scenario.yaml, and
// this-library-valkey for the sample application.
func (r row) name() string {
	if r.file == "" {
		return "this-library-" + string(r.store)
	}
	folder, file := filepath.Split(r.file)
	folder = strings.TrimSuffix(folder, "/")
	if base := strings.TrimSuffix(file, ".yaml"); base != "scenario" {
		return folder + "-" + base
	}
	return folder
}

// peer returns the folder of the row below peers, or an empty string for the sample application.
func (r row) peer() string {
	return strings.TrimSuffix(filepath.Dir(r.file), ".")
}
