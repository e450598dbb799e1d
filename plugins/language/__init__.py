"""Language host: runs Pulumi programs written in Python (`pulumi-language-python`)."""
