"""The stack that runs mediabroker in an AWS account: one CloudFormation template and two container files."""
