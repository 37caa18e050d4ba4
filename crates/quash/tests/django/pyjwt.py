"""PyJWT and cryptography behind a pipe: one request a line, one answer a line, both JSON. The tests choose the requests
and check the answers."""

import json
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

KINDS = {
    "rsa": (lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048), RSAAlgorithm),
    "p256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "p384": (lambda: ec.generate_private_key(ec.SECP384R1()), ECAlgorithm),
    "p521": (lambda: ec.generate_private_key(ec.SECP521R1()), ECAlgorithm),
    "ed25519": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
}


def make(kind):
    """Generates a key, in all its formats. `traditional` is PKCS #1 or SEC 1, which Ed25519 doesn't have."""
    generate, algorithm = KINDS[kind]
    private = generate()
    public = private.public_key()

    def pem(form):
        return private.private_bytes(Encoding.PEM, form, NoEncryption()).decode()

    return {
        "pkcs8": pem(PrivateFormat.PKCS8),
        "traditional": None if kind == "ed25519" else pem(PrivateFormat.TraditionalOpenSSL),
        "public": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "jwk": json.loads(algorithm.to_jwk(public)),
        "private_jwk": json.loads(algorithm.to_jwk(private)),
    }


def sign(claims, key, algorithm, headers=None):
    return {"token": jwt.encode(claims, key, algorithm, headers)}


def verify(token, algorithm, key=None, jwks_url=None, audience=None, issuer=None):
    try:
        if jwks_url is not None:
            key = jwt.PyJWKClient(jwks_url).get_signing_key_from_jwt(token).key
        return {"claims": jwt.decode(token, key, [algorithm], audience=audience, issuer=issuer)}
    except jwt.PyJWTError as refusal:
        return {"refused": type(refusal).__name__}


for line in sys.stdin:
    question = json.loads(line)
    answer = {"make": make, "sign": sign, "verify": verify}[question.pop("do")](**question)
    print(json.dumps(answer), flush=True)
