"""AWS Lambda and API Gateway on loopback."""
