"""What never travels with a job, by kind, as rules of the form of .gitignore."""

SECRETS = (
    # The package of a job can be read by everybody who may use the cluster, and stays on its disks.
    ".env", ".env.*", "*.env", ".envrc",
    "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.gpg",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.ppk", "known_hosts",
    ".netrc", "_netrc", ".pgpass", ".my.cnf", ".git-credentials", ".gitconfig", ".npmrc", ".pypirc", "pip.conf",
    ".htpasswd", ".boto", ".s3cfg", "rclone.conf", "kubeconfig*", "*.kubeconfig", "*.tfvars", "*.tfstate*",
    ".aws/", ".azure/", ".gcloud/", ".config/", ".docker/", ".gnupg/", ".kube/", ".ray/", ".ssh/", ".huggingface/",
    "auth_token", "*_token", "*.token", "token", "token.txt", "token.json",
    "secrets/", "*secret*", "*credential*", "*password*", "service-account*.json",
    "!*secret*.py", "!*credential*.py", "!*password*.py", "!*secret*.md", "!*credential*.md", "!*password*.md",
)  # fmt: skip
"""Read without regard to case; sources and pages that speak of secrets are none."""

DATA = (
    # Read by their path, or fetched by a node: the package is held in the memory of the head.
    "results/", "corpora/", "mlruns/", "mlartifacts/",
    "*.db", "*.db-*", "*.sqlite*", "*.parquet", "*.arrow", "*.feather", "*.npy", "*.npz", "*.h5", "*.hdf5", "*.mat",
    "*.pkl", "*.pickle", "*.safetensors", "*.pt", "*.pth", "*.ckpt", "*.onnx", "*.gguf",
    "*.wav", "*.mp3", "*.flac", "*.mp4", "*.avi", "*.mov", "*.mkv", "*.flv",
    "*.zip", "*.tar", "*.tar.*", "*.tgz", "*.7z",
)  # fmt: skip

MADE = (
    # Made anew wherever it is needed, or of no use there.
    ".git", ".hg/", ".svn/", ".venv/", "venv/", "__pycache__/", "*.py[cod]", "*.egg-info/", ".*_cache/",
    ".hypothesis/", ".ipynb_checkpoints/", ".tox/", ".nox/", ".idea/", ".vscode/", ".DS_Store", "node_modules/",
    ".gitignore", ".rayignore",
)  # fmt: skip
