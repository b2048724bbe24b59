// ali-oss, with both signatures.
'use strict'
const assert = require('assert')
const OSS = require('ali-oss')
const { env, run, refusal } = require('./checks.cjs')

const client = (v4, secret = env('SECRET')) =>
  new OSS({
    accessKeyId: env('KEY_ID'),
    accessKeySecret: secret,
    bucket: 'media',
    region: `oss-${env('REGION')}`,
    endpoint: env('OSS'),
    sldEnable: true,
    authorizationV4: v4,
  })
const key = "npm/a b+c*~(中)'!.bin"

const objects = async (v4) => {
  const oss = client(v4)
  await oss.put(key, Buffer.from('0123456789'), { meta: { of: 'npm' } })
  assert.strictEqual((await oss.get(key)).content.toString(), '0123456789')
  assert.strictEqual((await oss.head(key)).meta.of, 'npm')
  const listed = await oss.listV2({ prefix: 'npm/' })
  assert.deepStrictEqual(listed.objects.map((each) => each.name), [key])
  await oss.delete(key)
  assert.strictEqual((await refusal(() => oss.get(key))).code, 'NoSuchKey')
}

const parts = async (v4) => {
  const oss = client(v4)
  const data = Buffer.alloc(300000, 'z')
  await oss.multipartUpload('npm/parts', data, { partSize: 102400 })
  assert.ok((await oss.get('npm/parts')).content.equals(data))
  await oss.delete('npm/parts')
}

run({
  objects_v1: () => objects(false),
  objects_v4: () => objects(true),
  parts_v1: () => parts(false),
  parts_v4: () => parts(true),
  wrong_secret: async () => {
    for (const v4 of [false, true]) {
      assert.strictEqual((await refusal(() => client(v4, 'wrong').get(key))).code, 'SignatureDoesNotMatch')
    }
  },
})
