module stateless-servers/test/ownserver

go 1.26.0
