//! Clusters from a kubeconfig, and the one that the process runs in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};
use kube::{Client, Config};

use super::Clusters;
use crate::applier::{install_provider, unquoted};

/// Time for a connection to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// Clusters that cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidClusters {
    /// There is none.
    #[error("there is no cluster among them")]
    Empty,
    /// Two have one name.
    #[error("cluster {0:?} is named twice")]
    Twice(String),
    /// The kubeconfig cannot be read.
    #[error("kubeconfig {path}: {source}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// Cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kubeconfig has no such context.
    #[error("there is no context {context:?}; there are: {}", known.join(", "))]
    UnknownContext {
        /// The context that is named.
        context: String,
        /// The contexts that there are.
        known: Vec<String>,
    },
    /// The credentials of the pod that the process runs in cannot be read; outside of a cluster there are none.
    #[error("{path}: {source}; is this a pod, and has it a service account (automountServiceAccountToken)?")]
    ServiceAccount {
        /// The file.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// A context cannot be used.
    #[error("context {context:?}: {source}")]
    Context {
        /// The context.
        context: String,
        /// Cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The service account of a pod: where it finds its cluster, and its credentials.
///
/// The default is what Kubernetes gives every pod: `https://kubernetes.default.svc`, and the files below
/// `/var/run/secrets/kubernetes.io/serviceaccount`. The token is read again while it is used, since Kubernetes renews it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    server: String,
    folder: PathBuf,
}

impl Default for ServiceAccount {
    fn default() -> Self {
        Self {
            server: "https://kubernetes.default.svc".to_owned(),
            folder: "/var/run/secrets/kubernetes.io/serviceaccount".into(),
        }
    }
}

impl ServiceAccount {
    /// Sets the URL of the API server, where the name of its service is not known to the pod.
    #[must_use]
    pub fn server(mut self, url: impl Into<String>) -> Self {
        self.server = url.into();
        self
    }

    /// Sets the folder of the files `token`, `ca.crt` and `namespace`, where it is mounted elsewhere.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// A kubeconfig of one context that says the same.
    fn kubeconfig(&self, name: &str) -> Result<Kubeconfig, InvalidClusters> {
        let file = |name: &str| {
            let path = self.folder.join(name);
            let read = std::fs::read_to_string(&path);
            let failed = |source| InvalidClusters::ServiceAccount { path: path.display().to_string(), source };
            read.map(|text| (path.display().to_string(), text)).map_err(failed)
        };
        let ((token, _), (authority, _), (_, namespace)) = (file("token")?, file("ca.crt")?, file("namespace")?);
        let cluster =
            Cluster { server: Some(self.server.clone()), certificate_authority: Some(authority), ..Cluster::default() };
        let context = Context {
            cluster: name.to_owned(),
            user: Some(name.to_owned()),
            namespace: Some(namespace.trim().to_owned()),
            ..Context::default()
        };
        let user = AuthInfo { token_file: Some(token), ..AuthInfo::default() };
        Ok(Kubeconfig {
            clusters: vec![NamedCluster { name: name.to_owned(), cluster: Some(cluster), ..NamedCluster::default() }],
            auth_infos: vec![NamedAuthInfo {
                name: name.to_owned(),
                auth_info: Some(user),
                ..NamedAuthInfo::default()
            }],
            contexts: vec![NamedContext { name: name.to_owned(), context: Some(context), ..NamedContext::default() }],
            current_context: Some(name.to_owned()),
            ..Kubeconfig::default()
        })
    }
}

/// The contexts of a kubeconfig, in its order.
pub fn contexts(kubeconfig: &Kubeconfig) -> Vec<String> {
    kubeconfig.contexts.iter().map(|context| context.name.clone()).collect()
}

impl Clusters<Client> {
    /// Reads a kubeconfig from a file, and connects to the contexts that are named: see [`from_kubeconfig`](Self::from_kubeconfig).
    ///
    /// # Errors
    /// [`InvalidClusters`] if the file cannot be read, or a context cannot be used.
    pub async fn read<C: Into<String>>(
        path: impl AsRef<Path>,
        contexts: impl IntoIterator<Item = C>,
    ) -> Result<Self, InvalidClusters> {
        let path = path.as_ref();
        let failed = |error| InvalidClusters::Kubeconfig { path: path.display().to_string(), source: unquoted(error) };
        Self::from_kubeconfig(Kubeconfig::read_from(path).map_err(failed)?, contexts).await
    }

    /// A client for each context that is named, under its name; the default is the current context, if that is among them. Nothing is
    /// sent yet: a cluster that is down now is one that fails later, not an error here.
    ///
    /// Which file that is, is up to the host: no variable of the environment is looked at but those of proxies. What a server is too
    /// busy for is not tried again by these clients: that is for the parts, which have a deadline.
    ///
    /// Where the process has no TLS provider yet, this installs ring as its default, because a client cannot be made without.
    ///
    /// # Errors
    /// [`InvalidClusters`] if no context is named, or one cannot be used.
    pub async fn from_kubeconfig<C: Into<String>>(
        kubeconfig: Kubeconfig,
        contexts: impl IntoIterator<Item = C>,
    ) -> Result<Self, InvalidClusters> {
        install_provider();
        let known = self::contexts(&kubeconfig);
        let mut clients = Vec::new();
        for context in contexts {
            let context = context.into();
            if !known.contains(&context) {
                return Err(InvalidClusters::UnknownContext { context, known });
            }
            let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
            let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await;
            let client = config.map_err(Into::into).and_then(client);
            let client = client.map_err(|source| InvalidClusters::Context { context: context.clone(), source })?;
            clients.push((context, client));
        }
        let mut clusters = Self::new(clients)?;
        if let Some(current) = kubeconfig.current_context.filter(|current| clusters.parts.contains_key(current)) {
            clusters.default = Some(current);
        }
        Ok(clusters)
    }

    /// The cluster that the process runs in, by its [service account](ServiceAccount), under a name; it is the default. Nothing is sent
    /// yet, and no variable of the environment is looked at but those of proxies.
    ///
    /// # Errors
    /// [`InvalidClusters::ServiceAccount`] if the process runs in none, [`InvalidClusters::Context`] if its certificates or its address
    /// cannot be used.
    pub async fn in_cluster(name: impl Into<String>, account: &ServiceAccount) -> Result<Self, InvalidClusters> {
        let name = name.into();
        Self::from_kubeconfig(account.kubeconfig(&name)?, [name]).await
    }

    /// These clusters and others. The default stays, if there is one among these.
    ///
    /// # Errors
    /// [`InvalidClusters::Twice`] if two have one name.
    pub fn and(mut self, others: Self) -> Result<Self, InvalidClusters> {
        for (name, cluster) in others.parts {
            if self.parts.contains_key(&name) {
                return Err(InvalidClusters::Twice(name));
            }
            self.parts.insert(name, cluster);
        }
        self.default = self.default.or(others.default);
        Ok(self)
    }
}

fn client(mut config: Config) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    config.connect_timeout = Some(CONNECT);
    Ok(crate::applier::client(config)?)
}
