//! Real ZooKeeper servers on loopback, one Java process each.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::pki::Pki;
use super::{free_address, run, set_up, wait_for};

/// The server's network layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factory {
    /// The default one. It has no TLS.
    Nio,
    /// The one that can have a secure port.
    Netty,
}

/// What to start. [`ZooKeeperConfig::start`] starts it.
#[derive(Clone, Debug)]
pub struct ZooKeeperConfig {
    version: String,
    factory: Factory,
    lines: String,
    jvm: Vec<String>,
    jar: Option<PathBuf>,
    secure: Option<SocketAddr>,
    number: Option<usize>,
}

impl ZooKeeperConfig {
    /// A server of this version, with the defaults of the distribution but for loopback, SASL for `carol` with the
    /// password `carol-password`, and no admin server.
    pub fn new(version: &str, factory: Factory) -> Self {
        Self {
            version: version.to_owned(),
            factory,
            lines: String::new(),
            jvm: Vec::new(),
            jar: None,
            secure: None,
            number: None,
        }
    }

    /// Adds a line of zoo.cfg.
    pub fn line(mut self, line: &str) -> Self {
        let _ = writeln!(self.lines, "{line}");
        self
    }

    /// Adds an argument of the Java virtual machine.
    pub fn jvm(mut self, argument: &str) -> Self {
        self.jvm.push(argument.to_owned());
        self
    }

    /// Adds native TLS on a port of its own, with the server certificate of `pki`; needs [`Factory::Netty`].
    pub fn secure(mut self, pki: &Pki) -> Self {
        assert_eq!(self.factory, Factory::Netty, "only Netty has TLS");
        let address = free_address();
        self.secure = Some(address);
        self.line(&format!("secureClientPort={}", address.port()))
            .line(&format!("secureClientPortAddress={}", address.ip()))
            .line(&format!("ssl.keyStore.location={}", pki.path("server.pem").display()))
            .line(&format!("ssl.trustStore.location={}", pki.path("ca.crt").display()))
            .line("ssl.trustStore.type=PEM")
    }

    /// Makes it a member of an ensemble: its number, and all members' lines `server.N=…`.
    pub fn member(mut self, number: usize, members: &[String]) -> Self {
        self.number = Some(number);
        members.iter().fold(self.line("initLimit=20").line("syncLimit=10"), |config, line| config.line(line))
    }

    /// Puts the jar with zoogate's provider on the class path, as [`provider`](Self::provider) does, but doesn't name it.
    pub fn provider_jar(mut self) -> Self {
        self.jar = Some(set_up("zoogate-zookeeper-provider.jar"));
        self
    }

    /// Adds zoogate's provider of `x509` ids, with the secrets in this file.
    pub fn provider(self, secret_file: &Path) -> Self {
        self.provider_jar()
            .line("authProvider.x509=io.zoogate.zookeeper.GateAuthenticationProvider")
            .line(&format!("zoogate.secretFile={}", secret_file.display()))
    }

    /// Starts the server and waits until it serves.
    pub fn start(self) -> ZooKeeper {
        let mut server = self.spawn();
        server.wait_until_serving();
        server
    }

    /// Starts the server. A member of an ensemble serves when enough others do.
    pub fn spawn(self) -> ZooKeeper {
        ZooKeeper::spawn(self)
    }
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct ZooKeeper {
    child: Child,
    command: Command,
    dir: TempDir,
    address: SocketAddr,
    secure: Option<SocketAddr>,
}

impl ZooKeeper {
    fn spawn(config: ZooKeeperConfig) -> Self {
        let dir = TempDir::with_prefix("zoogate-zookeeper-").unwrap();
        let address = free_address();
        let (zoo_cfg, data) = (dir.path().join("zoo.cfg"), dir.path().join("data"));
        let text = format!(
            "tickTime=500\ndataDir={}\nclientPort={}\nclientPortAddress={}\nadmin.enableServer=false\n\
             authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n{}",
            data.display(),
            address.port(),
            address.ip(),
            config.lines
        );
        fs::write(&zoo_cfg, text).unwrap();
        if let Some(number) = config.number {
            fs::create_dir(&data).unwrap();
            fs::write(data.join("myid"), number.to_string()).unwrap();
        }
        let jaas = dir.path().join("jaas.conf");
        let module = "org.apache.zookeeper.server.auth.DigestLoginModule";
        fs::write(&jaas, format!("Server {{ {module} required user_carol=\"carol-password\"; }};\n")).unwrap();

        let log = File::create(dir.path().join("log")).unwrap();
        let mut command = java_server(&config);
        command.arg(format!("-Djava.security.auth.login.config={}", jaas.display()));
        command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(&zoo_cfg);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("java starts; `make setup` installs it");
        Self { child, command, dir, address, secure: config.secure }
    }

    /// Waits until it answers as a server that opens sessions.
    pub fn wait_until_serving(&mut self) {
        let serving = wait_for(|| {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ZooKeeper ended at once ({ended:?}): {}", self.log());
            // The secure port is opened last.
            self.mode().filter(|_| self.secure.is_none_or(|secure| TcpStream::connect(secure).is_ok()))
        });
        assert!(serving.is_some(), "ZooKeeper does not serve: {}", self.log());
        // It binds the secure port last, when the other one serves already.
        let secure = self.secure.is_none_or(|address| wait_for(|| TcpStream::connect(address).ok()).is_some());
        assert!(secure, "ZooKeeper does not listen for TLS: {}", self.log());
    }

    /// `leader`, `follower` or `standalone`; `None` while it does not serve.
    pub fn mode(&self) -> Option<String> {
        let answer = four_letter_word(self.address, "srvr")?;
        answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned)
    }

    /// Where the plaintext client port is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the native TLS port is.
    pub fn secure_address(&self) -> SocketAddr {
        self.secure.expect("the server was started with secure()")
    }

    /// All that the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Stops it so that its connections stay and nothing is answered any more.
    pub fn freeze(&self) {
        run(Command::new("kill").arg("-STOP").arg(self.child.id().to_string()));
    }

    /// Kills the server, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The file with its settings.
    pub fn zoo_cfg(&self) -> PathBuf {
        self.dir.path().join("zoo.cfg")
    }

    /// Changes the settings of a killed server, for its restart.
    pub fn reconfigure(&mut self, change: impl FnOnce(String) -> String) {
        let text = change(fs::read_to_string(self.zoo_cfg()).unwrap());
        fs::write(self.zoo_cfg(), &text).unwrap();
        self.secure = self.secure.filter(|_| text.contains("\nsecureClientPort="));
    }

    /// Starts a killed server again, with its data, and waits until it serves.
    pub fn restart(&mut self) {
        self.child = self.command.spawn().unwrap();
        self.wait_until_serving();
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A virtual machine for this server, but for what it is to run.
fn java_server(config: &ZooKeeperConfig) -> Command {
    let class_path = fs::read_to_string(set_up(&format!("zookeeper/{}/cp.txt", config.version))).unwrap();
    let jar = config.jar.as_ref().map(|jar| format!(":{}", jar.display())).unwrap_or_default();
    let class_path = class_path.trim().to_owned() + &jar;
    let factory = match config.factory {
        Factory::Nio => "org.apache.zookeeper.server.NIOServerCnxnFactory",
        Factory::Netty => "org.apache.zookeeper.server.NettyServerCnxnFactory",
    };
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &class_path]);
    command.arg(format!("-Dzookeeper.serverCnxnFactory={factory}"));
    // 3.4 looks for log4j's beans otherwise, and ends without them.
    command.arg("-Dzookeeper.jmx.log4j.disable=true");
    command.args(&config.jvm);
    command
}

/// Sends a four-letter word in plaintext and returns the answer; `None` if nobody listens.
pub fn four_letter_word(address: SocketAddr, word: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(word.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let _ = stream.shutdown(Shutdown::Both);
    Some(answer)
}
