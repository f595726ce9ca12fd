package language

// What a database and its user may be called: these names stand in the SQL of
// INSTALL.txt.
const (
	DBNamePattern = `^[A-Za-z0-9_-]{1,64}$`
	DBUserPattern = `^[A-Za-z0-9_.@+-]{1,80}$`
)

var storeBlock = Block{
	Name: "store", Label: "kind", Once: true,
	Doc: "Where the helper keeps what it knows: a file of its own, or a database server that it shares with the helpers of other gateways.",
	Hints: []Hint{
		{Name: "mariadb", Help: `write store "mysql": it is for MariaDB, too`},
		{Name: "galera", Help: `write store "mysql", with the nodes of the cluster as its hosts`},
	},
	Kinds: []Block{sqliteStore, mysqlStore},
}

var sqliteStore = Block{
	Name: "store", Kind: "sqlite",
	Doc: "A file, for one gateway, and without a server to run. It is what holds where the policies have no store.",
	Arguments: []Argument{
		{Name: "path", Type: Path, Default: `"/var/lib/exipol/exipol.db"`, Doc: "The database file."},
	},
}

var mysqlStore = Block{
	Name: "store", Kind: "mysql",
	Doc: "A database of MariaDB (10.11 or later) or MySQL (8), or of a Galera cluster, for any number of gateways: what one has seen all know, and what the desk releases all let through. INSTALL.txt has the statements that make the database and its user.",
	Arguments: []Argument{
		{Name: "hosts", Type: DBServers, Required: true, Doc: "The servers: copies of each other, such as the nodes of a Galera cluster. The first that is well is the one in use, for reading and writing, and the others are failover; name them in the same order on all gateways."},
		{Name: "database", Type: DBName, Required: true, Doc: "The database, which is exipol's alone."},
		{Name: "user", Type: DBUser, Required: true, Doc: "The user that exipold logs in as."},
		{Name: "password_file", Type: Path, Instead: "no password, which is enough where all hosts are sockets", Doc: "The file that holds the user's password and nothing else, readable for exipold and for nobody else (`root:exipold`, mode 0640). The password itself never stands in a policy."},
		{Name: "tls", Type: Word, Words: []string{"verified", "required", "off"}, Instead: "`\"off\"` where all hosts are sockets or on loopback, else `\"verified\"`", Doc: "Whether the connection is encrypted: with a certificate that is valid for the host as `hosts` names it, with any certificate, or not at all, which is for loopback. A socket needs no encryption, and gets none."},
		{Name: "ca_file", Type: Path, Instead: "the certificates that this system trusts", Doc: "With `tls = \"verified\"`, the certificates (PEM) of those who vouch for the hosts'."},
		{Name: "connections", Type: Number, Default: `8`, Min: 2, Most: 64, Doc: "How many connections one exipold keeps at most. The server must allow so many for each gateway, and some for commands (`max_connections`)."},
		{Name: "state", Type: Path, Default: `"/var/lib/exipol"`, Doc: "The directory on this gateway for what is exipold's own, among it the blocks in force, for when the server is away."},
	},
	Hints: []Hint{
		{Name: "password", Secret: true, Help: `a password never stands in a policy: write it into a file, and the file's name into password_file`},
		{Name: "port", Help: `a port stands behind its host: hosts = ["db1:3307"]`},
		{Name: "socket", Help: `a socket is one of the hosts: hosts = ["/run/mysqld/mysqld.sock"]`},
		{Name: "username", Help: "did you mean user?"},
	},
}
